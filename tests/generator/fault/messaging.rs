//! Identities and queues.

use crate::generator::draft::{Draft, HopId, Work};
use crate::generator::fleet::CONSUMER;
use crate::generator::scene::Scene;
use crate::generator::span::Link;

/// The hop of the service that every fleet reaches by a message, and nothing below it.
pub(in crate::generator) fn consumer(scene: &mut Scene<'_>, draft: &mut Draft) -> HopId {
    let hop = scene.choose(draft, |draft, hop| draft[hop].service == CONSUMER);
    draft.cut_below(hop);
    hop
}

/// A message is sent for someone and worked on for nobody.
pub(super) fn async_identity_gap(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = consumer(scene, &mut draft);
    draft[hop].identity = None;
    let evidence = draft[hop].parent.map_or_else(Vec::new, |caller| draft.way(caller, hop));
    scene.record("async_identity_gap", &draft, hop, evidence);
    scene.record_missing(&draft, hop);
    scene.push(draft);
}

/// One batch of messages of several people, worked on for the first of them.
pub(super) fn fan_in_ambiguity(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = consumer(scene, &mut draft);
    let people = scene.fleet.people.clone();
    let mine = draft[hop].identity.as_ref().map(|identity| identity.id.clone());
    let mut evidence = draft[hop].parent.map_or_else(Vec::new, |caller| draft.way(caller, hop));
    let others = people.iter().filter(|person| Some(*person) != mine.as_ref());
    for (number, person) in others.take(2).enumerate() {
        let identity = scene.login(person);
        let mut other = scene.request_of(Some(identity), false);
        // What it sends is read by the batch, not by a consumer of its own.
        let sent = consumer(scene, &mut other);
        other[sent].unsampled = true;
        draft[hop].links.push(Link { trace: other[Draft::ROOT].trace, span: other[sent].exit });
        if let (0, Some(caller)) = (number, other[sent].parent) {
            evidence.extend([other[sent].exit, other[caller].entry]);
            evidence.extend(other[caller].controller);
        }
        scene.push(other);
    }
    let old_names = scene.fleet[CONSUMER].old_names;
    let write = Work::statement(&mut scene.dice, old_names, "UPDATE");
    // "One consumer frame links >= 2 distinct P but does work under one/none" (F23): the work is part of it.
    evidence.push(write.id);
    evidence.extend(draft[hop].controller);
    draft[hop].work.push(write);
    scene.record("fan_in_ambiguity", &draft, hop, evidence);
    scene.push(draft);
}
