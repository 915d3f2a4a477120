//! Attempts of one call.

use crate::hop::{Hop, HopKind, Outcome};
use crate::rule::{Cx, writes};
use crate::sink::SpanKind;
use crate::trace::SpanIx;

/// Calls that are looked at for one attempt; further ones are taken for no retry of it.
const MOST: usize = 1024;

/// Whether this hop is a failed attempt whose retry, made by the same span of the same caller for the same
/// operation, may have succeeded: what is wrong there is found there.
pub(super) fn succeeded(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    if hop.outcome != Outcome::Failed {
        return false;
    }
    let Some(caller) = hop.caller else { return false };
    let (start, by) = (cx.entry(hop).start, made_by(cx, hop));
    cx.hops.callees(caller).take(MOST).any(|other| {
        other.kind != HopKind::Origin
            && other.service == hop.service
            && other.operation == hop.operation
            && other.outcome.may_have_succeeded()
            && cx.entry(other).start > start
            && made_by(cx, other) == by
    })
}

/// Whether this hop is a failed attempt of whose retry only one side is there: a later call by the same span that
/// nobody answered, or a later hop of the same operation whose caller's span is missing.
pub(super) fn is_torn(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    if hop.outcome != Outcome::Failed {
        return false;
    }
    let Some(exit) = hop.exit else { return false };
    let again = |ix: &SpanIx| {
        let (first, later) = (cx.trace.span(exit), cx.trace.span(*ix));
        later.kind == SpanKind::Client
            && later.start > first.start
            && later.name == first.name
            && writes::host(later) == writes::host(first)
            && cx.trace.children(*ix).is_empty()
    };
    let siblings = cx.trace.parent_span(exit).map_or(&[][..], |by| cx.trace.children(by));
    let without_caller = |other: &Hop<'_>| {
        other.kind != HopKind::Origin
            && other.service == hop.service
            && other.operation == hop.operation
            && cx.entry(other).start > cx.entry(hop).start
    };
    siblings.iter().take(MOST).any(again)
        || (cx.trace.grade.missing_parents > 0 && cx.hops.torn().take(MOST).any(without_caller))
}

/// The span that made the call: the parent of its client span, the same for each attempt.
fn made_by(cx: &Cx<'_>, hop: &Hop<'_>) -> Option<SpanIx> {
    hop.exit.and_then(|exit| cx.trace.parent_span(exit))
}
