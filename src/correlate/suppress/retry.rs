//! Attempts of one call.

use crate::hop::{Hop, Outcome};
use crate::rule::Cx;

/// Whether this hop is a failed attempt whose retry, made by the same span of the same caller for the same
/// operation, may have succeeded: what is wrong there is found there.
pub(super) fn succeeded(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    if hop.outcome != Outcome::Failed {
        return false;
    }
    let Some(caller) = hop.caller else { return false };
    let (start, by) = (cx.entry(hop).start, made_by(cx, hop));
    cx.hops.iter().any(|other| {
        other.caller == Some(caller)
            && other.service == hop.service
            && other.operation == hop.operation
            && other.outcome.may_have_succeeded()
            && cx.entry(other).start > start
            && made_by(cx, other) == by
    })
}

/// The span that made the call: the parent of its client span, the same for each attempt.
fn made_by(cx: &Cx<'_>, hop: &Hop<'_>) -> Option<crate::trace::SpanIx> {
    hop.exit.and_then(|exit| cx.trace.parent_span(exit))
}
