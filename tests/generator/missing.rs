//! What becomes true because spans are missing that were there before, by the letter of the definitions.

use std::collections::{BTreeMap, BTreeSet};

use super::Corpus;
use super::identity::names_user;
use super::scene::{PUBLIC, VALIDATE};
use super::span::{Kind, Span, SpanId, TraceId, Value};
use super::truth::{Injected, NearMiss, Subject};

/// OTLP `Span.flags`: whether the next bit says anything, and that bit: the parent is in another process.
const HAS_REMOTE: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// What `after`, all that is left of the spans of `before`, makes true.
pub(super) fn made_true(before: &Corpus, after: &[Span]) -> Vec<Injected> {
    let losses = Losses {
        before: before.spans.iter().map(|span| (span.id, span)).collect(),
        left: after.iter().map(|span| (span.id, span)).collect(),
    };
    if losses.left.len() == losses.before.len() {
        return Vec::new();
    }
    let mut found = losses.orphans(after);
    found.extend(losses.invisible(&before.spans, after));
    found.extend(losses.unvalidated(&before.spans));
    found.extend(losses.unexcused(&before.truth.near_misses));
    found
}

struct Losses<'a> {
    before: BTreeMap<SpanId, &'a Span>,
    left: BTreeMap<SpanId, &'a Span>,
}

impl Losses<'_> {
    fn lost(&self, id: SpanId) -> bool {
        self.before.contains_key(&id) && !self.left.contains_key(&id)
    }

    /// "Hops lost: dropped spans, truncated trace" (F36), and "parent id never arrives" (F21).
    fn orphans(&self, after: &[Span]) -> Vec<Injected> {
        let mut gaps: BTreeSet<TraceId> = BTreeSet::new();
        let mut found = Vec::new();
        for span in after.iter().filter(|span| span.parent.is_some_and(|parent| self.lost(parent))) {
            if gaps.insert(span.trace) {
                found.push(at(span, "audit_gap", "lost parent", Subject::Trace));
            }
            // F21 is of root hops. A span inside a service is none, nor is one that says its parent was in the same
            // process; where nothing else is left, it may be taken for one.
            let local = span.flags & HAS_REMOTE != 0 && span.flags & REMOTE == 0;
            let asked = matches!(span.kind, Kind::Server | Kind::Consumer) && !local;
            found.push(Injected { asked, ..at(span, "broken_context", "lost parent", Subject::Span) });
        }
        found
    }

    /// "Exit span to an internal name with no entry span after W and callee never seen" (F20).
    fn invisible(&self, before: &[Span], after: &[Span]) -> Vec<Injected> {
        let names = |spans: &[Span]| -> BTreeSet<String> {
            spans.iter().map(|span| span.resource.service.clone()).collect()
        };
        let seen = names(after);
        let never_seen: BTreeSet<String> =
            names(before).into_iter().filter(|name| !seen.contains(name)).collect();
        let to_nobody = |span: &&Span| {
            let host = ["server.address", "net.peer.name"].iter().find_map(|key| span.attributes.get(key));
            span.kind == Kind::Client
                && matches!(host, Some(Value::Str(host)) if never_seen.contains(host.as_str()))
        };
        let exits = after.iter().filter(to_nobody);
        exits.map(|span| at(span, "blind_hop", "invisible callee", Subject::Span)).collect()
    }

    /// "Trace shows neither crate/mesh evidence at S nor any call to [..] `/validate`-type endpoint in frame(S)" (F28):
    /// the call is lost, and who made it is not.
    fn unvalidated(&self, before: &[Span]) -> Vec<Injected> {
        let asks = |span: &&Span| {
            let url = span.attributes.get("url.full");
            matches!(url, Some(Value::Str(url)) if url.ends_with(VALIDATE))
        };
        let entry_above = |span: &Span| {
            let above = std::iter::successors(Some(span), |span| self.before.get(&span.parent?).copied());
            above.filter(|above| above.kind == Kind::Server).last().map(|entry| entry.id)
        };
        let lost = before.iter().filter(asks).filter(|span| self.lost(span.id));
        let entries = lost.filter_map(|span| self.left.get(&entry_above(span)?).copied());
        entries
            .filter(|entry| names_user(&entry.attributes))
            .map(|entry| {
                let asked = !PUBLIC.iter().any(|route| entry.name.ends_with(route));
                Injected { asked, ..at(entry, "no_validation_edge", "lost validation", Subject::Span) }
            })
            .collect()
    }

    /// What a near miss only looks like holds once the span is lost that the definition excuses it by.
    fn unexcused(&self, near_misses: &[NearMiss]) -> Vec<Injected> {
        let is_lost = |near_miss: &&NearMiss| near_miss.excuse.iter().any(|id| self.lost(*id));
        let of = |near_miss: &NearMiss| {
            let NearMiss { recipe, guards, trace_id, span_id, service, operation, .. } = near_miss.clone();
            guards.iter().map(move |rule| Injected {
                rule,
                recipe,
                subject: if *rule == "session_multi_principal" { Subject::Operation } else { Subject::Span },
                trace_id,
                span_id,
                also: Vec::new(),
                service: service.clone(),
                operation: operation.clone(),
                evidence: vec![span_id],
                asked: false,
            })
        };
        near_misses.iter().filter(is_lost).flat_map(of).collect()
    }
}

/// What a span is all that is needed to see of.
pub(super) fn at(span: &Span, rule: &'static str, recipe: &'static str, subject: Subject) -> Injected {
    Injected {
        rule,
        recipe,
        subject,
        trace_id: span.trace,
        span_id: span.id,
        also: Vec::new(),
        service: span.resource.service.clone(),
        operation: span.name.clone(),
        evidence: vec![span.id],
        asked: true,
    }
}
