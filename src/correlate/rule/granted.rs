//! What a hop's principal may do: the OAuth scopes or roles that its spans list.

use super::Cx;
use super::id_shape::IdShape;
use super::named::MOST;
use crate::dialect::KeyId;
use crate::field::Field;
use crate::hop::Hop;

/// Words of one list looked at.
const MOST_WORDS: usize = 256;

/// The words that a hop lists under `field`: those of the first span of its frame that has the field.
pub(super) fn words<'a>(cx: &Cx<'a>, hop: &Hop<'_>, field: Field) -> impl Iterator<Item = &'a str> + use<'a> {
    let span = cx.frame(hop).take(MOST).find(|span| span.has(field));
    span.into_iter()
        .flat_map(move |span| span.all(field))
        .flat_map(|text| text.split([' ', ',', '[', ']']))
        .filter(|word| !word.is_empty())
        .take(MOST_WORDS)
}

/// The attribute key under which a hop lists `field`; `None` where it does not.
pub(super) fn key(cx: &Cx<'_>, hop: &Hop<'_>, field: Field) -> Option<KeyId> {
    cx.frame(hop).take(MOST).find_map(|span| span.entry(field)).map(|entry| entry.key)
}

/// The words of `hop` that `above` does not list; nothing is allocated while there are none.
pub(super) fn added<'a>(cx: &Cx<'a>, above: &Hop<'_>, hop: &Hop<'_>, field: Field) -> Vec<&'a str> {
    let is_new = |word: &&str| !words(cx, above, field).any(|known| known == *word);
    let mut added: Vec<&str> = words(cx, hop, field).filter(is_new).collect();
    added.sort_unstable();
    added.dedup();
    added
}

/// Whether two hops act for one principal, as far as their ids tell.
pub(super) fn is_same_principal(above: &Hop<'_>, hop: &Hop<'_>) -> bool {
    match (&above.identity.principal, &hop.identity.principal) {
        (Some(before), Some(here)) => {
            before.id == here.id
                || (before.kind == here.kind && IdShape::of(before.id).may_be(&IdShape::of(here.id)))
        }
        _ => false,
    }
}
