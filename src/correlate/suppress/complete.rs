//! What a lost span would have changed. Our own gaps must never look like gaps of identity.

use crate::field::Field;
use crate::finding::{Confidence, Finding};
use crate::hop::{Hop, HopIx, HopKind};
use crate::rule::Cx;

/// Work without its caller that is looked at for one hop; of a trace with more, little is there to judge.
const MOST: usize = 1024;

/// Work of the hop's service, during the hop, whose parent span is not there: it may belong to the hop.
fn strays<'a>(cx: &Cx<'a>, hop: &Hop<'a>) -> impl Iterator<Item = &'a Hop<'a>> + use<'a> {
    let (trace, hops) = (cx.trace, cx.hops);
    let (service, entry) = (hop.service, trace.span(hop.entry));
    hops.torn().take(MOST).filter(move |other| {
        let start = trace.span(other.entry).start;
        other.kind == HopKind::Origin
            && other.service == service
            && (entry.start == 0 || (entry.start <= start && start <= entry.end))
    })
}

/// Whether there was no room to wait for all of the trace, and what the hop does not show may be on the way: what our own bounds cost
/// is no gap of identity. What a span of the hop says of its assurance is not changed by what others say.
pub(super) fn may_be_on_the_way(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    cx.trace.grade.crowded && cx.frame(hop).all(|span| !span.has(Field::Assurance))
}

/// Whether a span that may belong to the hop shows an identity.
pub(super) fn may_be_elsewhere(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    cx.trace.grade.missing_parents > 0
        && strays(cx, hop).any(|stray| stray.identity.assurance.is_identified())
}

/// Why a trace that is never quiet may not show what there was.
const BUSY: &str = "the trace was judged while more of it may have been on the way";

/// A finding that rests on spans that are not there, as sure as can be of a trace that may go on.
pub(crate) fn unless_busy(cx: &Cx<'_>, finding: Finding) -> Finding {
    if cx.trace.grade.closed_early { finding.unsure(Confidence::Likely, BUSY) } else { finding }
}

/// What is in doubt of the hop that was asked about last: findings of one hop follow each other, and may be many.
#[derive(Debug, Default)]
pub(crate) struct Doubt(Option<(HopIx, Option<String>)>);

impl Doubt {
    /// Why what the hop does not show may yet have been there.
    pub(super) fn of(&mut self, cx: &Cx<'_>, hop: &Hop<'_>) -> Option<String> {
        if self.0.as_ref().is_none_or(|(last, _)| *last != hop.ix) {
            self.0 = Some((hop.ix, doubt(cx, hop)));
        }
        self.0.as_ref().and_then(|(_, doubt)| doubt.clone())
    }
}

fn doubt(cx: &Cx<'_>, hop: &Hop<'_>) -> Option<String> {
    let dropped = cx.frame(hop).fold(0_u32, |sum, span| sum.saturating_add(span.dropped));
    if dropped > 0 {
        return Some(format!("the sender dropped {dropped} attributes, events or links of this hop's spans"));
    }
    if cx.trace.grade.missing_parents > 0 && strays(cx, hop).next().is_some() {
        return Some("spans of this service have lost their place in the trace".to_owned());
    }
    // Senders can keep a trace from ever being quiet: that hides nothing.
    if cx.trace.grade.closed_early && cx.frame(hop).all(|span| !span.has(Field::Assurance)) {
        return Some(BUSY.to_owned());
    }
    if cx.trace.grade.conflicts > 0 && cx.frame(hop).all(|span| !span.has(Field::Assurance)) {
        return Some("spans arrived with different contents under one id".to_owned());
    }
    None
}
