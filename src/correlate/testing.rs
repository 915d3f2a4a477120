//! Traces written as text, so that a rule's test table can be read.
//!
//! ```text
//! gateway SERVER GET /orders  user.id=alice http.response.status_code=200
//!   gateway CLIENT GET
//!     orders SERVER GET /orders/{id}
//! ```
//!
//! One line a span: service, kind, name, attributes; depth by indentation. The span of line `n` (from 1) has
//! id `n`. What the name holds before the first `key=value` is the name. Values may use `_`
//! for a space, and `__` for an underscore.
//! Besides attributes: `@start=MS`, `@end=MS` (default: each span lies within its parent), `@flags=N`, `@parent=N`
//! (another parent, also an absent one), `@id=N`, `@status=ok|error`, `@dropped=N`, `@shared`, `@partial`
//! (without times), `@trace=N`,
//! `@link=N` or `@link=T/N` (span `N` of this trace or of trace `T`, a number or 32 hex digits), `@event=NAME`.
//! `@speaker=own` (the sender may speak for the service), `@speaker=NAME` (that sender may not).
//! `%key=value` is an attribute of the resource.
//!
//! The seal `valid` is valid when it is checked again, and `broken-WORD` is broken by that fault.

use hopseal_identity::seal::SealFault;

use crate::across::Across;
use crate::dialect::Dialects;
use crate::field::Field;
use crate::finding::Finding;
use crate::hop::Hops;
use crate::intake::{Intake, Records};
use crate::judge::{Judge, Verdict};
use crate::policy::Policy;
use crate::record::packed::Packer;
use crate::record::{self, Record, Span, Speaker};
use crate::rule::{Cx, Rule};
use crate::sink::{Link, Position, Sink, SpanHead, SpanId, SpanKind, Status, TraceId, Value};
use crate::survey::Survey;
use crate::trace::Trace;
use crate::who::SealVerdict;
use crate::words::Words;

/// Spans kept in memory by trace.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) traces: std::collections::BTreeMap<TraceId, Vec<Vec<u8>>>,
    pub(crate) words: Words,
    /// Has noted every record.
    pub(crate) packer: Packer,
    survey: Survey,
}

/// Takes records up; the words are lent to the intake meanwhile.
struct Keeping<'k>(&'k mut Kept);

impl Records for Keeping<'_> {
    fn record(&mut self, record: &Record<'_>) {
        self.0.packer.note(record);
        self.0.traces.entry(record.trace_id()).or_default().push(record.to_bytes());
    }

    fn linked(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.0.survey.linked.expect(trace_id, span_id);
    }

    fn reject(&mut self, at: Position, reason: &str) {
        panic!("{at}: {reason}");
    }
}

pub(crate) fn trace_id(number: u64) -> TraceId {
    TraceId(u128::from(number).to_be_bytes())
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId(number.to_be_bytes())
}

const MS: u64 = 1_000_000;
/// 2026-01-01T00:00:00Z, in nanoseconds.
pub(crate) const EPOCH: u64 = 1_767_225_600_000 * MS;

/// A span that says nothing but its ids.
pub(crate) const fn head() -> SpanHead<'static> {
    SpanHead {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([2; 8]),
        parent: None,
        name: "",
        kind: SpanKind::Unspecified,
        start: 0,
        end: 0,
        flags: 0,
        status: Status::Unset,
        dropped: 0,
        shared: false,
        trace_state: "",
    }
}

struct Line {
    depth: usize,
    id: u64,
    start: u64,
    end: u64,
}

/// Reads the spans of `text` into records; see the module for the notation.
pub(crate) fn records(text: &str) -> Kept {
    let dialects = Dialects::built_in().expect("shipped map");
    let (mut kept, mut words) = (Kept::default(), Words::default());
    let mut intake = Intake::new(&dialects, &mut words, Keeping(&mut kept));
    let mut above: Vec<Line> = Vec::new();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    for (index, line) in lines.enumerate() {
        let number = index as u64 + 1;
        let depth = line.len() - line.trim_start().len();
        above.retain(|other| other.depth < depth);
        let parent = above.last();
        let (start, end) = parent.map_or((0, 1_000_000), |parent| (parent.start + 1, parent.end - 1));
        let mut words = line.split_whitespace();
        let service = words.next().expect("service");
        let kind = match words.next().expect("kind") {
            "SERVER" => SpanKind::Server,
            "CLIENT" => SpanKind::Client,
            "PRODUCER" => SpanKind::Producer,
            "CONSUMER" => SpanKind::Consumer,
            "INTERNAL" => SpanKind::Internal,
            "-" => SpanKind::Unspecified,
            other => panic!("line {number}: `{other}` is no kind"),
        };
        let mut line = Line { depth, id: number, start, end };
        let mut head = SpanHead {
            trace_id: trace_id(1),
            span_id: span_id(number),
            parent: parent.map(|parent| span_id(parent.id)),
            kind,
            ..head()
        };
        let (mut name, mut partial, mut speaker) = (Vec::new(), false, None);
        intake.resource();
        // `namespace/service@environment`
        let (namespace, rest) = service.split_once('/').unwrap_or(("", service));
        let (service, environment) = rest.split_once('@').unwrap_or((rest, ""));
        intake.resource_attribute("service.namespace", Value::Str(namespace));
        intake.resource_attribute("service.name", Value::Str(service));
        intake.resource_attribute("deployment.environment.name", Value::Str(environment));
        for (key, value) in words.clone().filter_map(|word| word.strip_prefix('%')?.split_once('=')) {
            intake.resource_attribute(key, Value::Str(&value.replace('_', " ")));
        }
        intake.span_start();
        for word in words.filter(|word| !word.starts_with('%')) {
            let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("`{word}`: no number"));
            match word.split_once('=') {
                Some(("@start", ms)) => line.start = number(ms),
                Some(("@end", ms)) => line.end = number(ms),
                Some(("@flags", bits)) => head.flags = number(bits) as u32,
                Some(("@parent", "0")) => head.parent = None,
                Some(("@parent", id)) => head.parent = Some(span_id(number(id))),
                Some(("@id", id)) => {
                    line.id = number(id);
                    head.span_id = span_id(line.id);
                }
                Some(("@trace", id)) => head.trace_id = trace_id(number(id)),
                Some(("@status", "ok")) => head.status = Status::Ok,
                Some(("@status", "error")) => head.status = Status::Error,
                Some(("@dropped", count)) => head.dropped = number(count) as u32,
                Some(("@speaker", name)) => speaker = Some(name),
                Some(("@event", name)) => intake.event(&name.replace('_', " "), 0),
                Some(("@link", to)) => {
                    let (trace, span) = to.split_once('/').unwrap_or(("1", to));
                    let trace = match u128::from_str_radix(trace, 16) {
                        Ok(id) if trace.len() == 32 => TraceId(id.to_be_bytes()),
                        _ => trace_id(number(trace)),
                    };
                    intake.link(Link { trace_id: trace, span_id: span_id(number(span)) });
                }
                Some((key, value)) if !key.contains('/') => {
                    let value = value.replace("__", "\0").replace('_', " ").replace('\0', "_");
                    intake.attribute(key, Value::Str(&value));
                }
                None if word == "@shared" => head.shared = true,
                None if word == "@partial" => partial = true,
                _ => name.push(word),
            }
        }
        let name = name.join(" ");
        head.name = &name;
        if !partial {
            (head.start, head.end) = (EPOCH + line.start * MS, EPOCH + line.end * MS);
        }
        intake.span_end(&head);
        let made = intake.get_mut().0.traces.get_mut(&head.trace_id).and_then(|records| records.last_mut());
        if let (Some(name), Some(made)) = (speaker, made) {
            let speaker = if name == "own" { Speaker::Own } else { Speaker::Foreign };
            record::spoken_by(made, 0, speaker, name);
        }
        above.push(line);
    }
    kept.words = words;
    kept
}

/// What checking a seal of the notation again says.
fn check_again(_: TraceId, span: &Span<'_>) -> Option<SealVerdict> {
    match span.get(Field::Seal)? {
        "valid" => Some(SealVerdict::Valid { by_itself: false }),
        "valid-own" => Some(SealVerdict::Valid { by_itself: true }),
        seal => seal.strip_prefix("broken-").and_then(SealFault::parse).map(SealVerdict::Broken),
    }
}

/// A trace and its hops, to look at in a test.
pub(crate) fn with_hops<T>(text: &str, look: impl FnOnce(&Trace<'_>, &Hops<'_>) -> T) -> T {
    with_hops_under(text, &Policy::default(), look)
}

/// The same under a policy written as its file is.
pub(crate) fn found_by(rule: Rule, text: &str, policy: &str) -> Vec<String> {
    let policy = crate::policy::PolicyFile::parse(policy).and_then(|file| file.resolve()).expect("a policy");
    found_under(rule, text, &policy)
}

/// The same under a policy of the test's own.
pub(crate) fn with_hops_under<T>(
    text: &str,
    policy: &Policy,
    look: impl FnOnce(&Trace<'_>, &Hops<'_>) -> T,
) -> T {
    let kept = records(text);
    let dialects = Dialects::built_in().expect("shipped map");
    let judge = Judge { dialects: &dialects, policy, seal: &check_again };
    let (id, records) = kept.traces.iter().next().expect("a trace");
    let trace = Trace::from_records(*id, records.iter().map(Vec::as_slice), &kept.words);
    let hops = judge.hops(&trace);
    look(&trace, &hops)
}

/// Judges every trace of `text` under `policy`, the survey made from them all.
pub(crate) fn judge(text: &str, policy: &Policy) -> Verdict {
    let (mut all, mut across) = (Verdict::default(), Across::default());
    each(text, policy, |judge, cx| {
        let mut verdict = judge.verdict(cx);
        all.findings.append(&mut verdict.findings);
        all.suppressed.append(&mut verdict.suppressed);
        all.unevaluated.append(&mut verdict.unevaluated);
        across.observe(cx);
    });
    let mut verdict = across.finish(policy, None);
    all.findings.append(&mut verdict.findings);
    all.suppressed.append(&mut verdict.suppressed);
    all.unevaluated.append(&mut verdict.unevaluated);
    all.in_order()
}

/// Looks at every trace of `text`, by id, the survey made from them all.
pub(crate) fn each(text: &str, policy: &Policy, look: impl FnMut(&Judge<'_>, &Cx<'_>)) {
    each_in_order(text, policy, |_| {}, look);
}

/// Looks at every trace of `text`, in whatever order `sort` puts them for both passes.
pub(crate) fn each_in_order(
    text: &str,
    policy: &Policy,
    sort: impl FnOnce(&mut Vec<Trace<'_>>),
    mut look: impl FnMut(&Judge<'_>, &Cx<'_>),
) {
    let Kept { traces: kept, words, mut survey, .. } = records(text);
    let dialects = Dialects::built_in().expect("shipped map");
    let judge = Judge { dialects: &dialects, policy, seal: &check_again };
    let mut traces: Vec<Trace<'_>> = kept
        .iter()
        .map(|(id, records)| Trace::from_records(*id, records.iter().map(Vec::as_slice), &words))
        .collect();
    sort(&mut traces);
    for trace in &traces {
        survey.observe(trace, &judge.hops(trace));
    }
    for trace in &traces {
        let hops = judge.hops(trace);
        look(&judge, &judge.cx(trace, &hops, &survey));
    }
}

/// `text` as `times` traces, 1 and on.
pub(crate) fn traces(times: u64, text: &str) -> String {
    let one =
        |number: u64| text.lines().fold(String::new(), |all, line| format!("{all}{line} @trace={number}\n"));
    (1..=times).map(one).collect()
}

/// The findings of one rule over many traces as `operation: severity confidence`, by operation.
pub(crate) fn found_across(rule: Rule, text: &str) -> Vec<String> {
    let line = |finding: &Finding| {
        format!("{}: {} {}", finding.operation, finding.severity.as_str(), finding.confidence.as_str())
    };
    let findings = judge(text, &Policy::default()).findings;
    let mut lines: Vec<String> = findings.iter().filter(|finding| finding.rule == rule).map(line).collect();
    lines.sort();
    lines
}

/// The findings of one rule under the default policy as `span: severity confidence`, by span.
pub(crate) fn found(rule: Rule, text: &str) -> Vec<String> {
    found_under(rule, text, &Policy::default())
}

/// The same under a policy of the test's own.
pub(crate) fn found_under(rule: Rule, text: &str, policy: &Policy) -> Vec<String> {
    let line = |finding: &Finding| {
        let span = finding.span_id.map_or(0, |id| u64::from_be_bytes(id.0));
        format!("{span}: {} {}", finding.severity.as_str(), finding.confidence.as_str())
    };
    let mut lines: Vec<String> =
        judge(text, policy).findings.iter().filter(|finding| finding.rule == rule).map(line).collect();
    lines.sort();
    lines
}
