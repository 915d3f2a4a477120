//! An identity that is not there.

use crate::generator::draft::{Draft, HopId};
use crate::generator::fleet::{GATEWAY, Operation};
use crate::generator::scene::Scene;

/// Takes the identity from `hops`, and writes down what is then missing.
pub(super) fn lose(scene: &mut Scene<'_>, draft: &mut Draft, hops: &[HopId]) {
    for hop in hops {
        draft[*hop].identity = None;
    }
    for hop in hops {
        scene.record_missing(draft, *hop);
    }
}

/// A service forgets to pass the identity on: it and everything below it act for nobody.
pub(super) fn dropped(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    draft.cut_messages_below(hop);
    let hops = draft.with_all_below(hop);
    lose(scene, &mut draft, &hops);
    scene.push(draft);
}

/// A service does not look at the identity, but passes it on.
pub(super) fn dropped_at_one_hop(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    draft.cut_messages_below(hop);
    lose(scene, &mut draft, &[hop]);
    scene.push(draft);
}

/// Someone without a login is let in at the gateway, and all the way.
pub(super) fn never_established(scene: &mut Scene<'_>) {
    let mut draft = scene.request_of(None, false);
    draft.cut_messages_below(Draft::ROOT);
    nobody(scene, &mut draft);
    scene.push(draft);
}

fn nobody(scene: &mut Scene<'_>, draft: &mut Draft) {
    let hops = draft.ids();
    scene.record("never_established", draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    lose(scene, draft, &hops);
}

/// The gateway lets a request through, and the service behind it is the first to ask who it is.
pub(super) fn late_establishment(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    draft[Draft::ROOT].identity = None;
    draft[Draft::ROOT].work.clear();
    for hop in draft.ids() {
        draft[hop].work.retain(|work| !work.writes);
    }
    draft.cut_messages_below(Draft::ROOT);
    let first = draft.below(Draft::ROOT).into_iter().find(|hop| draft[*hop].shows);
    let evidence = first.map_or_else(Vec::new, |first| draft.way(Draft::ROOT, first));
    scene.record("late_establishment", &draft, Draft::ROOT, evidence);
    scene.also(first.map(|first| draft[first].entry));
    scene.record("never_established", &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    scene.record_missing(&draft, Draft::ROOT);
    scene.push(draft);
}

/// A route that stores something, with no login, at a gateway that asks for one elsewhere.
pub(super) fn anonymous_write(scene: &mut Scene<'_>) {
    let mut draft = scene.rooted(GATEWAY, Operation::http("POST", "/transfers"), None);
    let old_names = scene.fleet[GATEWAY].old_names;
    let verb = *scene.dice.pick(&["INSERT", "UPDATE"]);
    let write = crate::generator::draft::Work::statement(&mut scene.dice, old_names, verb);
    draft[Draft::ROOT].work.push(write);
    nobody(scene, &mut draft);
    scene.push(draft);
}
