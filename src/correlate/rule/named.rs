//! Whom a hop names: the ids on its spans, under whatever key.

use super::Cx;
use super::id_shape::IdShape;
use crate::dialect::KeyId;
use crate::field::Field;
use crate::hop::Hop;
use crate::record::Span;
use crate::who::is_nobody;

/// Spans, hops and links looked at for one finding; a trace that needs more is not made by services at work.
pub(super) const MOST: usize = 1024;

/// Fields that name a user.
pub(super) const IDS: u128 = Field::Sub.bit()
    | Field::User.bit()
    | Field::UserPseudonym.bit()
    | Field::Principal.bit()
    | Field::UserName.bit()
    | Field::UserEmail.bit();

/// One id on a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named<'t> {
    /// Which fact.
    pub(super) field: Field,
    /// Under which attribute key.
    pub(super) key: KeyId,
    /// The id.
    pub(super) id: &'t str,
}

impl<'t> Named<'t> {
    pub(super) fn shape(&self) -> IdShape<'t> {
        IdShape::of(self.id)
    }
}

/// The ids on one span.
pub(super) fn on<'t>(span: &Span<'t>) -> impl Iterator<Item = Named<'t>> + use<'t> {
    span.entries_in(IDS).filter(|entry| !entry.text.is_empty() && !is_nobody(entry.text)).map(|entry| Named {
        field: entry.field,
        key: entry.key,
        id: entry.text,
    })
}

/// The ids of a hop: those on its entry span, or where that names nobody, in its whole frame.
///
/// What an inner span names besides may be whose data it is, and never speaks for the hop.
pub(super) fn at<'a>(cx: &Cx<'a>, hop: &Hop<'_>) -> impl Iterator<Item = Named<'a>> + use<'a> {
    let spans = if on(cx.entry(hop)).next().is_some() { 1 } else { MOST };
    cx.frame(hop).take(spans).flat_map(on)
}

/// Whether the spans of a frame name one user and nobody else, as far as the spelling of ids tells.
pub(crate) fn is_one<'s, 't: 's>(frame: impl Iterator<Item = &'s Span<'t>>) -> bool {
    let mut ids = frame.take(MOST).flat_map(on).take(MOST);
    let Some(first) = ids.next() else { return false };
    ids.all(|other| other.shape().may_be(&first.shape()))
}

/// Whether a hop acts for whom an id names, by its chain of actors.
pub(super) fn has_actor(hop: &Hop<'_>, id: &IdShape<'_>) -> bool {
    let principal = hop.identity.principal.as_ref();
    principal.is_some_and(|principal| principal.actors.iter().any(|actor| IdShape::of(actor.id).may_be(id)))
}
