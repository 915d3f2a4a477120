//! Findings against the truth.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Add;

use super::run::Finding;
use super::{ACROSS, HINTS};
use crate::generator::truth::{Injected, NearMiss, Subject};
use crate::generator::{Corpus, RULES, damage};

/// How one rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Findings that are true.
    pub right: usize,
    /// Findings that are not.
    pub wrong: usize,
    /// Faults whose evidence is all there and that were found.
    pub found: usize,
    /// Faults whose evidence is all there and that were not.
    pub missed: usize,
}

impl Counts {
    /// Share of the findings that are true; 1 when there are none.
    #[must_use]
    pub fn precision(&self) -> f64 {
        share(self.right, self.wrong)
    }

    /// Share of the faults that could be found and were; 1 when there are none.
    #[must_use]
    pub fn recall(&self) -> f64 {
        share(self.found, self.missed)
    }
}

fn share(yes: usize, no: usize) -> f64 {
    if yes + no == 0 { 1.0 } else { yes as f64 / (yes + no) as f64 }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            wrong: self.wrong + other.wrong,
            found: self.found + other.found,
            missed: self.missed + other.missed,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { right, wrong, found, missed } = self;
        write!(f, "{right} findings true and {wrong} not, {found} faults found and {missed} missed")
    }
}

/// A finding that the truth does not know.
#[derive(Debug, Clone)]
pub struct Denied {
    finding: Finding,
    near_miss: Option<&'static str>,
}

impl Denied {
    /// The rule that was wrong.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.finding.rule
    }

    /// Whether the program was sure, and of something that matters.
    #[must_use]
    pub fn is_high_and_certain(&self) -> bool {
        self.finding.severity == "high" && self.finding.confidence == "certain"
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { rule, severity, confidence, trace_id, span_id, service, operation, message } =
            &self.finding;
        let [trace, span] = [trace_id, span_id].map(|id| id.as_deref().unwrap_or("-"));
        write!(
            f,
            "{rule} ({severity}, {confidence}) at `{service}` `{operation}`, {trace} {span}: {message}"
        )?;
        self.near_miss.map_or(Ok(()), |recipe| write!(f, " [near miss: {recipe}]"))
    }
}

/// What was right and what was not under one condition.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By rule.
    pub rules: BTreeMap<String, Counts>,
    /// Findings that are not true.
    pub denied: Vec<Denied>,
    /// Faults that were not found though they could be.
    pub missed: Vec<Injected>,
}

impl Outcome {
    /// The rules that one trace decides, hints apart.
    pub fn of_one_trace(&self) -> impl Iterator<Item = (&str, &Counts)> {
        let apart = |rule: &str| ACROSS.contains(&rule) || HINTS.contains(&rule);
        self.rules.iter().map(|(rule, counts)| (rule.as_str(), counts)).filter(move |(rule, _)| !apart(rule))
    }
}

impl Outcome {
    /// Up to `most` wrong findings and missed faults of each rule, in words.
    #[must_use]
    pub fn examples(&self, most: usize) -> Vec<String> {
        let mut shown: BTreeMap<(bool, String), usize> = BTreeMap::new();
        let mut first = |wrong: bool, rule: &str| {
            let count = shown.entry((wrong, rule.to_owned())).or_default();
            *count += 1;
            *count <= most
        };
        let mut lines = Vec::new();
        for denied in &self.denied {
            if first(true, &denied.finding.rule) {
                lines.push(format!("wrong: {denied}"));
            }
        }
        for missed in &self.missed {
            if first(false, missed.rule) {
                let Injected { rule, recipe, trace_id, span_id, service, operation, .. } = missed;
                lines.push(format!(
                    "missed: {rule} ({recipe}) at `{service}` `{operation}`, {trace_id} {span_id}"
                ));
            }
        }
        lines
    }
}

/// Compares what was found in `corpus` with what is true of it.
///
/// A hint claims nothing, so it is neither right nor wrong, except of the rules that are nothing but hints.
pub(super) fn compare(corpus: &Corpus, findings: &[Finding]) -> Outcome {
    let surviving = damage::surviving(&corpus.spans);
    let truth = Index::new(&corpus.truth.injected);
    let near: BTreeMap<String, &NearMiss> = corpus
        .truth
        .near_misses
        .iter()
        .map(|near_miss| (near_miss.trace_id.to_string(), near_miss))
        .collect();
    let mut outcome = Outcome::default();
    for rule in RULES {
        outcome.rules.insert((*rule).to_owned(), Counts::default());
    }
    let mut seen = vec![false; corpus.truth.injected.len()];
    let claims = |finding: &&Finding| finding.confidence != "hint" || HINTS.contains(&finding.rule.as_str());
    for finding in findings.iter().filter(claims) {
        let explained = truth.explaining(finding);
        for (place, seen) in seen.iter_mut().enumerate() {
            *seen |= explained.contains(&place);
        }
        let counts = outcome.rules.entry(finding.rule.clone()).or_default();
        if explained.is_empty() {
            counts.wrong += 1;
            let near_miss = finding.trace_id.as_ref().and_then(|id| near.get(id)).map(|near| near.recipe);
            outcome.denied.push(Denied { finding: finding.clone(), near_miss });
        } else {
            counts.right += 1;
        }
    }
    for (injected, seen) in corpus.truth.injected.iter().zip(seen) {
        if injected.decidable(&surviving) {
            let counts = outcome.rules.entry(injected.rule.to_owned()).or_default();
            counts.found += usize::from(seen);
            counts.missed += usize::from(!seen);
            if !seen {
                outcome.missed.push(injected.clone());
            }
        }
    }
    outcome
}

/// The truth, by what a finding says of its subject.
struct Index(BTreeMap<(&'static str, String), Vec<usize>>);

impl Index {
    fn new(injected: &[Injected]) -> Self {
        let mut index: BTreeMap<(&'static str, String), Vec<usize>> = BTreeMap::new();
        for (place, injected) in injected.iter().enumerate() {
            let mut subjects: Vec<String> = injected.also.iter().map(ToString::to_string).collect();
            subjects.push(injected.span_id.to_string());
            match injected.subject {
                Subject::Span => {}
                Subject::Trace => subjects.push(injected.trace_id.to_string()),
                Subject::Operation => subjects.push(operation(&injected.service, &injected.operation)),
            }
            for subject in subjects {
                index.entry((injected.rule, subject)).or_default().push(place);
            }
        }
        Self(index)
    }

    /// The places of what makes `finding` true.
    fn explaining(&self, finding: &Finding) -> Vec<usize> {
        let Some(rule) = RULES.iter().find(|rule| **rule == finding.rule) else { return Vec::new() };
        let named = [finding.span_id.clone(), finding.trace_id.clone()].into_iter().flatten();
        let subjects = named.chain([operation(&finding.service, &finding.operation)]);
        subjects.filter_map(|subject| self.0.get(&(*rule, subject))).flatten().copied().collect()
    }
}

fn operation(service: &str, operation: &str) -> String {
    format!("{service} {operation}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::span::{SpanId, TraceId};
    use crate::generator::{Settings, generate};

    const TRACE: TraceId = TraceId([1; 16]);

    fn injected(subject: Subject, corpus: &Corpus) -> Injected {
        let hop = corpus.spans.first().unwrap();
        Injected {
            rule: "identity_dropped",
            recipe: "dropped",
            subject,
            trace_id: TRACE,
            span_id: SpanId([2; 8]),
            also: vec![SpanId([3; 8])],
            service: "orders".to_owned(),
            operation: "GET /orders".to_owned(),
            evidence: vec![hop.id],
            asked: true,
        }
    }

    fn finding(rule: &str, confidence: &str, trace: Option<u8>, span: Option<u8>) -> Finding {
        Finding {
            rule: rule.to_owned(),
            severity: "high".to_owned(),
            confidence: confidence.to_owned(),
            trace_id: trace.map(|byte| TraceId([byte; 16]).to_string()),
            span_id: span.map(|byte| SpanId([byte; 8]).to_string()),
            service: "orders".to_owned(),
            operation: "GET /orders".to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn table() {
        use Subject::{Operation, Span, Trace};
        const RULE: &str = "identity_dropped";
        let right = Counts { right: 1, found: 1, ..Counts::default() };
        let wrong = Counts { wrong: 1, missed: 1, ..Counts::default() };
        let silent = Counts { missed: 1, ..Counts::default() };
        for (name, subject, finding, expected) in [
            ("the hop", Span, Some(finding(RULE, "likely", Some(1), Some(2))), right),
            ("a span of it", Span, Some(finding(RULE, "certain", Some(1), Some(3))), right),
            ("another hop", Span, Some(finding(RULE, "certain", Some(1), Some(4))), wrong),
            ("a hint", Span, Some(finding(RULE, "hint", Some(1), Some(2))), silent),
            ("a wrong hint", Span, Some(finding(RULE, "hint", Some(1), Some(4))), silent),
            ("nothing", Span, None, silent),
            ("only the operation", Span, Some(finding(RULE, "certain", None, None)), wrong),
            ("the operation", Operation, Some(finding(RULE, "certain", None, None)), right),
            ("the trace", Trace, Some(finding(RULE, "certain", Some(1), None)), right),
            ("another trace", Trace, Some(finding(RULE, "certain", Some(9), None)), wrong),
        ] {
            let mut corpus = generate(Settings { seed: 1, traces: 1 });
            corpus.truth.injected = vec![injected(subject, &corpus)];
            let findings: Vec<Finding> = finding.into_iter().collect();
            let outcome = compare(&corpus, &findings);
            assert_eq!(outcome.rules[RULE], expected, "{name}");
            assert_eq!(outcome.denied.len(), expected.wrong, "{name}");
            corpus.spans.clear();
            let outcome = compare(&corpus, &findings);
            assert_eq!(
                outcome.rules[RULE].missed + outcome.rules[RULE].found,
                0,
                "{name}: cannot be decided"
            );
        }
    }
}
