//! One trace judged, and its hops as the store keeps them. The verdict is that of `hopseal check`.

use std::hash::{Hash as _, Hasher};

use hopseal_correlate::catalogue::{Capability, Catalogue, Shown};
use hopseal_correlate::finding::Finding;
use hopseal_correlate::hop::{Hop as Crossing, HopIx};
use hopseal_correlate::judge::Verdict;
use hopseal_correlate::record::Service;
use hopseal_correlate::rule::{Cx, DUPLICATES};
use hopseal_correlate::same::is_same;
use hopseal_correlate::sink::SpanId;
use hopseal_correlate::trace::Trace;
use hopseal_identity::{Assurance, Kind};
use rustc_hash::FxHashMap;
use twox_hash::XxHash3_64;

use super::own::{OwnKey, Secret};
use crate::serve::store::{Block, Hop, HopTexts, Judged, Text, Texts};

/// Bytes of a hop that go into the digest of its trace.
const HASHED: usize = 130;
/// Places for texts seen last; a power of two.
const SEEN: usize = 1 << 10;

/// Numbers of texts seen last, by where those stood in memory: likely the same as what stands there now, in the same block.
#[derive(Debug)]
struct Seen(Box<[Text; SEEN]>);

impl Default for Seen {
    fn default() -> Self {
        Self(Box::new([Text::default(); SEEN]))
    }
}

impl Seen {
    /// The number of a text among `texts`, new or not.
    #[inline]
    fn number(&mut self, text: &str, texts: &mut Texts) -> Text {
        if text.is_empty() {
            return Text::default();
        }
        let address = text.as_ptr().addr();
        let place = self.0.get_mut((address >> 3 ^ address >> 13) % SEEN);
        if let Some(seen) =
            place.as_deref().filter(|seen| is_same(texts.get(**seen).as_bytes(), text.as_bytes()))
        {
            return *seen;
        }
        let number = texts.add(text);
        place.into_iter().for_each(|place| *place = number);
        number
    }
}

/// Writes judged traces into blocks.
pub(crate) struct Recorder {
    seen: Seen,
    /// What verdicts are hashed with. Were it known, a sender could make up spans that change a verdict and not its digest.
    secret: Secret,
    /// Of each text of the block, what tells it from another, in whatever block.
    digests: Vec<u64>,
}

impl Recorder {
    pub(crate) fn new(own: &OwnKey) -> Self {
        Self { seen: Seen::default(), secret: own.secret(), digests: Vec::new() }
    }

    /// Adds the hops of a trace to a block, and returns what tells its verdict from another.
    pub(crate) fn record(&mut self, cx: &Cx<'_>, verdict: &Verdict, version: u32, block: &mut Block) -> u64 {
        let trace = cx.trace;
        let mut places: FxHashMap<HopIx, u32> = FxHashMap::default();
        places.reserve(cx.hops.all().len());
        let mut content = Vec::with_capacity(HASHED * (cx.hops.all().len() + 1));
        let mut count = 0;
        if block.traces.is_empty() {
            // Another block, with texts of its own.
            self.digests.clear();
        }
        for (hop, place) in cx.hops.iter().zip(0_u32..) {
            places.insert(hop.ix, place);
            let row = row(cx, hop, &places, &mut block.texts, &mut self.seen);
            self.put_content(&row, &block.texts, &mut content);
            block.hops.push(row);
            count += 1;
        }
        for finding in &verdict.findings {
            put_finding(finding, &mut content);
        }
        let grade = trace.grade;
        content.extend_from_slice(&grade.missing_parents.to_le_bytes());
        content.extend_from_slice(&[u8::from(grade.is_complete()), u8::from(grade.closed_early)]);
        let digest = digest(&self.secret, &content);
        block.traces.push(Judged {
            trace_id: trace.id,
            version,
            digest,
            missing_parents: grade.missing_parents,
            complete: grade.is_complete(),
            closed_early: grade.closed_early,
            hops: count,
        });
        digest
    }

    /// Appends all that tells a hop from another, its texts by their digests: the same in whatever block.
    fn put_content(&mut self, hop: &Hop, texts: &Texts, to: &mut Vec<u8>) {
        let Hop {
            span_id,
            parent,
            start,
            end,
            caller,
            texts: own,
            kind,
            assurance,
            basis,
            outcome,
            principal_kind,
            uncovered,
        } = hop;
        to.extend_from_slice(&span_id.0);
        to.extend_from_slice(&parent.map_or([0; 8], |parent| parent.0));
        to.extend_from_slice(&start.to_le_bytes());
        to.extend_from_slice(&end.to_le_bytes());
        to.extend_from_slice(&caller.unwrap_or(u32::MAX).to_le_bytes());
        for number in self.digests.len()..texts.len() {
            let text = u32::try_from(number).map_or("", |number| texts.get(Text(number)));
            self.digests.push(digest(&self.secret, text.as_bytes()));
        }
        for text in own.to_array() {
            let digest = self.digests.get(text.0 as usize).copied().unwrap_or_default();
            to.extend_from_slice(&digest.to_le_bytes());
        }
        to.extend_from_slice(&[
            *kind as u8,
            *assurance as u8,
            *basis as u8,
            *outcome as u8,
            *principal_kind as u8,
            u8::from(*uncovered),
        ]);
    }
}

/// What services show in hops of one block, by the numbers of their texts: to look up three names for each hop costs more than
/// to judge it by most rules.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By service, namespace, environment and operation.
    shown: FxHashMap<[Text; 4], Shown>,
}

impl Tally {
    /// Counts a hop of the block.
    pub(crate) fn count(&mut self, hop: &Hop) {
        let HopTexts { service, namespace, environment, operation, .. } = hop.texts;
        let shown = self.shown.entry([service, namespace, environment, operation]).or_default();
        shown.hops += 1;
        shown.identified += u64::from(hop.assurance.is_identified());
    }

    /// Adds what was counted, and begins anew.
    pub(crate) fn tell(&mut self, texts: &Texts, to: &mut Catalogue) {
        for ([name, namespace, environment, operation], shown) in self.shown.drain() {
            let [name, namespace, environment] = [name, namespace, environment].map(|text| texts.get(text));
            to.add(Service { name, namespace, environment }, texts.get(operation), shown);
        }
    }
}

/// Appends all that a finding says, but for what follows from its id, and how often a span came: what is delivered twice is no news.
fn put_finding(finding: &Finding, to: &mut Vec<u8>) {
    let Finding {
        id,
        group_id,
        rule: _,
        severity,
        confidence,
        trace_id: _,
        span_id: _,
        caller,
        service,
        operation,
        before,
        here,
        why_not_sure,
        message,
        evidence,
        fix,
        at,
        series: _,
    } = finding;
    let mut to = Content(to);
    (id, group_id, severity, confidence, at).hash(&mut to);
    (caller, service, operation, before, here, why_not_sure, message, fix).hash(&mut to);
    evidence.iter().filter(|(name, _)| **name != DUPLICATES).for_each(|fact| fact.hash(&mut to));
}

/// The bytes that are hashed, as they come.
struct Content<'c>(&'c mut Vec<u8>);

impl Hasher for Content<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// What tells one content from another, for who does not know the secret.
fn digest(secret: &Secret, content: &[u8]) -> u64 {
    // Only a secret that is too short is refused.
    XxHash3_64::oneshot_with_secret(&**secret, content).unwrap_or_else(|_| XxHash3_64::oneshot(content))
}

/// Takes back what a [`Recorder`] added last.
pub(crate) fn forget_last(block: &mut Block) {
    if let Some(judged) = block.traces.pop() {
        block.hops.truncate(block.hops.len().saturating_sub(judged.hops as usize));
    }
}

/// A hop as it is kept.
fn row(
    cx: &Cx<'_>,
    hop: &Crossing<'_>,
    places: &FxHashMap<HopIx, u32>,
    texts: &mut Texts,
    seen: &mut Seen,
) -> Hop {
    let mut number = |text: &str| seen.number(text, texts);
    let entry = cx.entry(hop);
    let Service { name, namespace, environment } = hop.service;
    let principal = hop.identity.principal.as_ref();
    let caller = hop.exit.map_or("", |exit| cx.trace.span(exit).service.name);
    let actors = principal.map_or(String::new(), |principal| {
        let actor = |actor: &hopseal_identity::Actor<'_>| {
            format!("{}:{}", actor.kind.unwrap_or(Kind::Service).as_str(), actor.id)
        };
        principal.actors.iter().map(actor).collect::<Vec<_>>().join("\n")
    });
    Hop {
        span_id: entry.id,
        parent: entry.parent,
        start: entry.start,
        end: entry.end,
        caller: hop.caller.and_then(|caller| places.get(&caller).copied()),
        texts: HopTexts {
            caller: number(caller),
            service: number(name),
            namespace: number(namespace),
            environment: number(environment),
            operation: number(&hop.operation),
            via: if hop.via.is_empty() { Text::default() } else { number(&hop.via.join("\n")) },
            method: number(hop.identity.method.unwrap_or("")),
            principal: number(principal.map_or("", |principal| principal.id)),
            issuer: number(principal.and_then(|principal| principal.issuer).unwrap_or("")),
            tenant: number(principal.and_then(|principal| principal.tenant).unwrap_or("")),
            actors: number(&actors),
        },
        kind: hop.kind,
        assurance: hop.identity.assurance,
        basis: hop.identity.basis,
        outcome: hop.outcome,
        principal_kind: principal.map_or(Kind::User, |principal| principal.kind),
        uncovered: hop.identity.assurance == Assurance::Unknown
            && cx.catalogue.capability(hop.service, &hop.operation) == Capability::Never,
    }
}

/// How much the sender of the span that a finding is about is to be trusted.
pub(crate) fn trust(trace: &Trace<'_>, span_id: Option<SpanId>) -> u8 {
    let span = span_id.and_then(|span_id| trace.find(span_id)).map(|ix| trace.span(ix));
    span.map_or_else(|| most_trusted(trace), |span| span.speaker.trust())
}

/// How much the most trusted sender of a trace is to be trusted.
pub(crate) fn most_trusted(trace: &Trace<'_>) -> u8 {
    trace.spans().iter().map(|span| span.speaker.trust()).max().unwrap_or_default()
}

/// The least trusted sender of spans that came after those at the front of `records`.
pub(crate) fn least_trusted(new: &[u8]) -> u8 {
    use hopseal_correlate::record::{bodies, speaker};
    bodies(new).map(|body| speaker(body).trust()).min().unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::{Severity, Subject, Who};
    use hopseal_correlate::rule::Rule;
    use hopseal_correlate::sink::TraceId;

    use super::*;

    #[test]
    fn what_a_finding_says_is_told_apart() {
        let finding = || Finding::new(Rule::AuditGap, Subject::Trace(TraceId([1; 16])), "").message("found");
        let content = |finding: &Finding| {
            let mut content = Vec::new();
            put_finding(finding, &mut content);
            content
        };
        let who = |id: &str| Who {
            id: id.to_owned(),
            kind: Kind::User,
            issuer: None,
            tenant: None,
            actors: Vec::new(),
        };
        let changes: [fn(&mut Finding); 8] = [
            |finding| finding.severity = Severity::High,
            |finding| finding.caller = Some(String::new()),
            |finding| finding.service.push('a'),
            |finding| finding.operation.push('a'),
            |finding| finding.message.push('a'),
            |finding| finding.why_not_sure.push(String::new()),
            |finding| finding.at = 1,
            |finding| _ = finding.evidence.insert("a", "b".to_owned()),
        ];
        let mut all = vec![content(&finding())];
        for change in changes {
            let mut changed = finding();
            change(&mut changed);
            all.push(content(&changed));
        }
        all.push(content(&Finding { before: Some(who("a")), ..finding() }));
        all.push(content(&Finding { here: Some(who("a")), ..finding() }));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(content(&finding().evidence(DUPLICATES, "2".to_owned())), content(&finding()));
    }

    /// Guarantees: who does not know the key of a folder cannot tell what has the digest of something else.
    #[test]
    fn a_digest_is_made_with_the_key_of_its_folder() {
        let (here, there) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let secret = |folder: &tempfile::TempDir| OwnKey::of(folder.path()).expect("a key").secret();
        for content in [&[7; HASHED][..], &[7; 20 * HASHED]] {
            assert_eq!(digest(&secret(&here), content), digest(&secret(&here), content));
            assert_ne!(digest(&secret(&here), content), digest(&secret(&there), content));
            assert_ne!(digest(&secret(&here), content), XxHash3_64::oneshot(content));
        }
    }

    /// Guarantees: what was seen among the texts of one block is never taken for one of another.
    #[test]
    fn a_text_has_the_number_of_its_own_block() {
        let names: Vec<String> = (0..3 * SEEN).map(|number| number.to_string()).collect();
        let mut seen = Seen::default();
        for names in [names.iter().collect::<Vec<_>>(), names.iter().rev().collect()] {
            let mut texts = Texts::default();
            for name in names.iter().chain(&names) {
                let number = seen.number(name, &mut texts);
                assert_eq!((texts.get(number), Some(number)), (name.as_str(), texts.find(name)));
            }
            assert_eq!(texts.len(), 1 + names.len());
            assert_eq!(seen.number("", &mut texts), Text::default());
        }
    }
}
