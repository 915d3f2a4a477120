//! References: the parent of a span, and its links.

use hopseal_correlate::sink::{Link, SpanId, TraceId};

use crate::field::{self, Fault, Faults};
use crate::raw::Raw;

/// Where a span comes from.
#[derive(Debug, Default)]
pub(super) struct References {
    /// The first `CHILD_OF` in the span's own trace.
    pub(super) child_of: Option<SpanId>,
    /// The `FOLLOWS_FROM` in the span's own trace, if there is one alone and no `CHILD_OF` at all: it is
    /// drawn as the parent. It is a link too, because it may have been one.
    pub(super) only_follows: Option<SpanId>,
    /// All but the parent by `CHILD_OF`.
    pub(super) links: Vec<Link>,
}

impl References {
    /// # Errors
    ///
    /// A `CHILD_OF` with a bad id: the parent is unknown, which is not the same as none.
    pub(super) fn of(raw: Option<Raw<'_>>, trace: TraceId, faults: &mut Faults) -> Result<Self, Fault> {
        let mut references = Self::default();
        let Some(raw) = raw else { return Ok(references) };
        let (mut bad_parent, mut has_child_of, mut follows) = (None, false, 0_usize);
        faults.pieces("references", raw.items(), |faults, raw| {
            let (kind, link) = reference(raw, trace, faults);
            has_child_of |= kind == Kind::ChildOf;
            let link = match link {
                Ok(Some(link)) => link,
                Ok(None) => return,
                Err(fault) if kind == Kind::ChildOf => return bad_parent = Some(fault),
                Err(fault) => return faults.note(fault),
            };
            match kind {
                Kind::ChildOf if link.trace_id == trace && references.child_of.is_none() => {
                    references.child_of = Some(link.span_id);
                    return;
                }
                Kind::FollowsFrom if link.trace_id == trace => {
                    follows += 1;
                    references.only_follows = Some(link.span_id);
                }
                _ => {}
            }
            references.links.push(link);
        });
        if has_child_of || follows != 1 {
            references.only_follows = None;
        }
        match bad_parent {
            Some(fault) if references.child_of.is_none() => Err(fault),
            _ => Ok(references),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ChildOf,
    FollowsFrom,
    Other,
}

/// One reference, to no span when the id is zero or not there.
fn reference(raw: Raw<'_>, own_trace: TraceId, faults: &mut Faults) -> (Kind, Result<Option<Link>, Fault>) {
    let (mut kind, mut trace, mut span) = (None, None, None);
    faults.pieces("references", raw.members(), |_, (key, value)| match &*key {
        "refType" => kind = Some(value),
        "traceID" => trace = Some(value),
        "spanID" => span = Some(value),
        _ => {}
    });
    let kind = match &*faults.text("refType", kind) {
        "CHILD_OF" | "" => Kind::ChildOf, // Jaeger's own default
        "FOLLOWS_FROM" => Kind::FollowsFrom,
        _ => Kind::Other,
    };
    let trace = trace.map_or(Ok(own_trace), |raw| field::trace_id("references", raw));
    let link = trace.and_then(|trace_id| {
        let span = field::parent_id("references", span)?;
        Ok(span.map(|span_id| Link { trace_id, span_id }))
    });
    (kind, link)
}
