//! What only many requests show.

use crate::generator::draft::Draft;
use crate::generator::fleet::{FIRST, GATEWAY, Operation};
use crate::generator::scene::{RELEASED, Scene};
use crate::generator::truth::Subject;

use super::loss::lose;

/// A route of a service that otherwise knows its callers never asks for an identity.
pub(super) fn unauthenticated_endpoint(scene: &mut Scene<'_>) {
    for _ in 0..25 {
        let mut draft = scene.request();
        let hop = scene.call(&mut draft, Draft::ROOT, FIRST, Operation::http("GET", "/exports/{id}"));
        lose(scene, &mut draft, &[hop]);
        scene.record_as("unauthenticated_endpoint", Subject::Operation, &draft, hop, vec![draft[hop].entry]);
        scene.push(draft);
    }
}

/// A route answers with a login and, as often, without.
pub(super) fn optional_auth_endpoint(scene: &mut Scene<'_>) {
    for _ in 0..8 {
        let operation = scene.fleet[GATEWAY].operation.clone();
        let mut draft = scene.rooted(GATEWAY, operation, None);
        scene.record("never_established", &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
        lose(scene, &mut draft, &[Draft::ROOT]);
        scene.push(draft);
    }
}

/// Someone calls a service directly that everybody else reaches through the gateway.
pub(super) fn edge_bypass(scene: &mut Scene<'_>) {
    let identity = scene.person();
    let operation = scene.fleet[FIRST].operation.clone();
    let draft = scene.rooted(FIRST, operation, Some(identity));
    scene.record_as("edge_bypass", Subject::Operation, &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    scene.push(draft);
}

/// Two people under one session.
pub(super) fn session_multi_principal(scene: &mut Scene<'_>) {
    let session = scene.dice.hex(16);
    let one = scene.person();
    let other = scene.other_than(&one);
    let mut evidence = Vec::new();
    let mut drafts = Vec::new();
    for identity in [one.clone(), other.clone(), one, other] {
        let mut draft = scene.request_of(Some(identity), false);
        draft[Draft::ROOT].attributes.set("session.id", session.as_str());
        evidence.push(draft[Draft::ROOT].entry);
        drafts.push(draft);
    }
    if let Some(first) = drafts.first() {
        let both = evidence.iter().take(2).copied().collect();
        scene.record_as("session_multi_principal", Subject::Operation, first, Draft::ROOT, both);
        scene.also(evidence);
    }
    for draft in drafts {
        scene.push(draft);
    }
}

/// A new version of a service stops showing who it works for.
pub(super) fn coverage_regression(scene: &mut Scene<'_>) {
    for number in 0..30 {
        let mut draft = scene.request();
        draft.cut_messages_below(Draft::ROOT);
        let hop = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
        draft[hop].version = RELEASED;
        if number % 5 != 0 {
            lose(scene, &mut draft, &[hop]);
        }
        scene.record_as("coverage_regression", Subject::Operation, &draft, hop, vec![draft[hop].entry]);
        scene.push(draft);
    }
}
