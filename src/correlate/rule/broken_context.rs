//! F21: a request that was begun elsewhere starts over, as if nobody had called.

use std::collections::BTreeMap;

use super::named::MOST;
use super::{Check, Cx, Needs, Rule, Spec, writes};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind};
use crate::record::Span;
use crate::sink::{SpanId, SpanKind};
use crate::suppress::unless_busy;
use crate::trace::{Parent, SpanIx};

pub(super) const SPEC: Spec = Spec {
    number: "F21",
    severity: Severity::Medium,
    needs: Needs::Spans,
    meaning: "A hop names a parent that never arrived. Or a hop without a parent lies within a call of the same trace \
              that names its service and has no other end.",
    fix: "Look for what drops or invents `traceparent` in between: a proxy, a client without instrumentation, a context \
          kept from start-up.",
    quieting: "Switch the rule off where callers outside send a `traceparent` of their own and the edge keeps it.",
    maps: &["CWE-778"],
    quiet: &[],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    // Parents, and the other ends of calls, may be on their way.
    if cx.trace.grade.crowded {
        return;
    }
    missing_parents(cx, found);
    let roots = || cx.hops.iter().filter(|hop| hop.kind == HopKind::Entry && !hop.caller_missing);
    if roots().nth(1).is_none()
        && cx.trace.indices().filter(|ix| cx.trace.parent(*ix) == Parent::Root).nth(1).is_none()
    {
        return;
    }
    for hop in roots().take(MOST) {
        if let Some(exit) = unanswered_call(cx, hop) {
            found.push(unless_busy(cx, pair(cx, hop, exit)));
        }
    }
}

/// The first hop of each parent that never arrived.
fn missing_parents(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    if cx.trace.grade.missing_parents == 0 {
        return;
    }
    let mut orphans: BTreeMap<SpanId, (&Hop<'_>, usize)> = BTreeMap::new();
    for hop in cx.hops.iter().filter(|hop| hop.caller_missing) {
        let Some(parent) = cx.entry(hop).parent else { continue };
        let (first, count) = orphans.entry(parent).or_insert((hop, 0));
        *count += 1;
        if hop.entry < first.entry {
            *first = hop;
        }
    }
    for (parent, (hop, count)) in orphans {
        let finding = cx
            .finding(Rule::BrokenContext, hop)
            .evidence("missing_parent", parent.to_string())
            .evidence("hops_under_it", count.to_string())
            .unsure(
                Confidence::Hint,
                "the parent may be lost, late, or a client's that sends its spans elsewhere",
            )
            .message(format!("`{}` was called under a parent that never arrived", hop.service.name));
        found.push(unless_busy(cx, finding));
    }
}

/// A call to the hop's service that lasted from before until after it, and that no hop answers.
fn unanswered_call(cx: &Cx<'_>, hop: &Hop<'_>) -> Option<SpanIx> {
    let entry = cx.entry(hop);
    if entry.start == 0 || entry.end == 0 {
        return None;
    }
    let around = |span: &Span<'_>| span.start <= entry.start && span.end >= entry.end;
    let names = |span: &Span<'_>| {
        let host = span.get(Field::PeerService).or_else(|| writes::host(span)).unwrap_or("");
        host == hop.service.name || host.split('.').next() == Some(hop.service.name)
    };
    cx.trace.indices().take(MOST).find(|ix| {
        let span = cx.trace.span(*ix);
        span.kind == SpanKind::Client
            && span.service != hop.service
            && cx.trace.children(*ix).is_empty()
            && around(span)
            && names(span)
    })
}

fn pair(cx: &Cx<'_>, hop: &Hop<'_>, exit: SpanIx) -> Finding {
    let caller = cx.trace.span(exit);
    let mut finding = cx
        .finding(Rule::BrokenContext, hop)
        .evidence("calling_span", caller.id.to_string())
        .unsure(Confidence::Hint, "the two only agree in time and name")
        .message(format!(
            "`{}` seems to be called by `{}`, and does not know it",
            hop.service.name, caller.service.name
        ));
    finding.caller = Some(caller.service.name.to_owned());
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        for (name, trace, expected) in [
            ("a parent that never arrives", "gw SERVER GET / @parent=99", &["1: medium hint"][..]),
            (
                "many under one dead parent",
                "gw SERVER GET /a @parent=99\ngw SERVER GET /b @parent=99",
                &["1: medium hint"],
            ),
            ("further down", "gw SERVER GET /\norders SERVER GET / @parent=99", &["2: medium hint"]),
            (
                "two dead parents",
                "gw SERVER GET /a @parent=98\ngw SERVER GET /b @parent=99",
                &["1: medium hint", "2: medium hint"],
            ),
            ("whole", "gw SERVER GET /\n  gw CLIENT GET\n    orders SERVER GET /", &[]),
            (
                "starts over within a call",
                "gw SERVER GET /\n  gw CLIENT GET server.address=orders\norders SERVER GET / @start=5 @end=9",
                &["3: medium hint"],
            ),
            (
                "within a call to another",
                "gw SERVER GET /\n  gw CLIENT GET server.address=stock\norders SERVER GET / @start=5 @end=9",
                &[],
            ),
        ] {
            assert_eq!(found(Rule::BrokenContext, trace), expected, "{name}");
        }
    }
}
