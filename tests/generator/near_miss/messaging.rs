//! Messages that need no principal, or have only one.

use hopseal_identity::attribute as hopseal;

use crate::generator::draft::Draft;
use crate::generator::fault::consumer;
use crate::generator::fleet::{CONSUMER, FIRST, Operation, Protocol, SECOND};
use crate::generator::identity;
use crate::generator::scene::Scene;
use crate::generator::span::Link;

use super::Rules;

/// A batch, all of it sent for the same person.
pub(super) fn batch_of_one_person(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let hop = consumer(scene, &mut draft);
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    for _ in 0..scene.dice.between(1, 4) {
        let operation = draft[hop].operation.clone();
        let sent = scene.call(&mut draft, caller, CONSUMER, operation);
        draft[sent].unsampled = true;
        let link = Link { trace: draft[caller].trace, span: draft[sent].exit };
        draft[hop].links.push(link);
    }
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

/// A consumer that makes one thing of many people's messages, by design.
pub(super) fn digest(scene: &mut Scene<'_>, guards: Rules) {
    let topic = |fleet: &str| format!("{fleet}.digest");
    let operation =
        Operation { protocol: Protocol::Message { linked: true }, route: topic(&scene.fleet.name) };
    let mut links = Vec::new();
    for _ in 0..2 {
        let mut sender = scene.request();
        let caller = scene.choose(&sender, |draft, hop| draft[hop].service == FIRST);
        let sent = scene.call(&mut sender, caller, CONSUMER, operation.clone());
        sender[sent].unsampled = true;
        links.push(Link { trace: sender[caller].trace, span: sender[sent].exit });
        scene.push(sender);
    }
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    let hop = scene.call(&mut draft, caller, CONSUMER, operation);
    draft[hop].links = links;
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

/// What the broker tells itself has no sender.
pub(super) fn system_topic(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    let topic =
        Operation { protocol: Protocol::Message { linked: false }, route: "__consumer_offsets".to_owned() };
    let hop = scene.call(&mut draft, caller, CONSUMER, topic);
    draft[hop].identity = None;
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

/// The edge begins a trace of its own, linked to the one that the request and its seal came from.
pub(super) fn restarted_at_the_edge(scene: &mut Scene<'_>, guards: Rules) {
    let from = scene.request();
    let caller = scene.choose(&from, |draft, hop| draft[hop].service == FIRST);
    let link = Link { trace: from[caller].trace, span: from[caller].exit };
    let sealed = from[caller].identity.as_ref().map(|identity| identity::seal(identity, link.trace));
    let who = from[caller].identity.clone();
    scene.push(from);
    let mut draft = scene.request_of(who, false);
    draft[Draft::ROOT].links.push(link);
    if let Some(seal) = sealed {
        let to = &mut draft[Draft::ROOT].attributes;
        to.set(hopseal::ASSURANCE, "sealed");
        to.set(hopseal::METHOD, "seal");
        to.set(hopseal::SEAL, seal);
    }
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// A consumer starts its own trace with the seal of the one it links to, and passes the seal on.
pub(super) fn linked_restart(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    let operation = scene.fleet[CONSUMER].operation.route.clone();
    let linked = Operation { protocol: Protocol::Message { linked: true }, route: operation };
    let hop = scene.call(&mut draft, caller, CONSUMER, linked);
    let trace = draft[caller].trace;
    let next = scene.fleet[SECOND].operation.clone();
    let below = scene.call(&mut draft, hop, SECOND, next);
    for hop in [hop, below] {
        if let Some(identity) = draft[hop].identity.clone() {
            draft[hop].attributes.set(hopseal::SEAL, identity::seal(&identity, trace));
        }
    }
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}
