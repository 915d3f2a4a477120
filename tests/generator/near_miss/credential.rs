//! Credentials that are good, or were treated as they should be.

use hopseal_identity::attribute as hopseal;

use crate::generator::draft::{Draft, HopId};
use crate::generator::fault::{refuse, replace};
use crate::generator::fleet::{FIRST, SECOND};
use crate::generator::identity::{self, Identity};
use crate::generator::scene::Scene;

use super::Rules;

fn at_second(scene: &mut Scene<'_>, guards: Rules, odd: impl Fn(&mut Scene<'_>, &mut Draft, HopId)) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    odd(scene, &mut draft, hop);
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

/// Yesterday's key is still good.
pub(super) fn keys_overlap(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |_, draft, hop| draft[hop].attributes.set(hopseal::KID, "k0"));
}

pub(super) fn many_audiences(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |scene, draft, hop| {
        let service = scene.fleet[draft[hop].service].name.clone();
        let audiences =
            vec!["https://api.example.org".to_owned(), "https://admin.example.org".to_owned(), service];
        draft[hop].attributes.set(hopseal::AUDIENCE, audiences);
    });
}

/// One second late, which is within what clocks may differ by.
pub(super) fn just_expired(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |scene, draft, hop| {
        let now = scene.seconds();
        draft[hop].attributes.set(hopseal::EXPIRES_AT, now - 1);
    });
}

pub(super) fn expired_and_turned_away(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |scene, draft, hop| {
        draft.cut_below(hop);
        draft[hop].work.clear();
        refuse(draft, hop);
        draft[hop].status = 401;
        let now = scene.seconds();
        draft[hop].attributes.set(hopseal::REASON, "expired");
        draft[hop].attributes.set(hopseal::EXPIRES_AT, now - 900);
    });
}

/// The same one-time credential twice, in one trace: a retry.
pub(super) fn one_time_retried(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    let first = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    let operation = draft[first].operation.clone();
    let again = scene.call(&mut draft, caller, SECOND, operation);
    draft[again].exit_attributes.set("http.request.resend_count", 1);
    draft.cut_below(first);
    draft[first].work.clear();
    draft[first].status = 503;
    let fingerprint = scene.dice.hex(16);
    for hop in [first, again] {
        draft[hop].attributes.set(hopseal::TOKEN_FINGERPRINT, fingerprint.as_str());
        draft[hop].attributes.set(hopseal::ONE_TIME, true);
    }
    scene.near_miss(guards, &mut draft, again);
    scene.push(draft);
}

/// An access token is good until it ends, from the same client.
pub(super) fn bearer_reused(scene: &mut Scene<'_>, guards: Rules) {
    let identity = scene.person();
    for _ in 0..2 {
        let mut draft = scene.request_of(Some(identity.clone()), false);
        scene.near_miss(guards, &mut draft, Draft::ROOT);
        scene.push(draft);
    }
}

/// The caller passes on the token that it got, without an exchange.
pub(super) fn token_passed_on(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    if let Some(received) = draft[hop].parent.and_then(|caller| draft[caller].identity.clone()) {
        replace(scene, &mut draft, hop, received);
    }
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

/// The authorization server names the newest actor by its OAuth client.
pub(super) fn actor_by_client_id(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |scene, draft, hop| {
        let Some(mut identity) = draft[hop].identity.clone() else { return };
        if let Some(newest) = identity.actors.first_mut() {
            *newest = "service:orders-app".to_owned();
        }
        replace(scene, draft, hop, identity);
    });
}

/// A token of another domain has a chain of its own.
pub(super) fn exchanged_across_domains(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |scene, draft, hop| {
        if let Some(identity) = draft[hop].identity.clone() {
            let actors = vec!["service:broker".to_owned()];
            replace(scene, draft, hop, Identity { actors, ..identity });
        }
        for below in draft.with_all_below(hop) {
            draft[below].attributes.set(hopseal::ISS, "partner");
        }
    });
}

/// The mesh in front of the service has verified who calls, and the policy trusts it.
pub(super) fn verified_by_mesh(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |_, draft, hop| {
        let id = draft[hop].identity.as_ref().map_or_else(String::new, |identity| identity.id.clone());
        draft[hop].shows = false;
        draft[hop].attributes.set("http.request.header.x-forwarded-user", vec![id]);
    });
}

/// A sealer that still holds the credential has sealed anew, with another life.
pub(super) fn sealed_anew(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |scene, draft, hop| {
        let (now, trace) = (scene.seconds(), draft[hop].trace);
        let Some(mut renewed) = draft[hop].identity.clone() else { return };
        renewed.id.push_str(" again"); // only to be signed over: another time, another signature
        for below in draft
            .with_all_below(hop)
            .into_iter()
            .filter(|below| draft[*below].trace == trace)
            .collect::<Vec<_>>()
        {
            let to = &mut draft[below].attributes;
            to.set(hopseal::SEAL, identity::seal(&renewed, trace));
            to.set(hopseal::IAT, now + 1);
            to.set(hopseal::EXP, now + 301);
        }
    });
}

/// TLS ends at a proxy in front of the service, which sees who spoke it.
pub(super) fn tls_ended_before(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |_, draft, hop| {
        draft[hop].tls = false;
        draft[hop].attributes.set("tls.protocol.version", "1.3");
    });
}

/// The mesh encrypts what the services send in plain text.
pub(super) fn in_mesh(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |_, draft, hop| {
        draft[hop].tls = false;
        draft[hop].attributes.set("connection.security_policy", "mutual_tls");
    });
}

/// Two services run under one account.
pub(super) fn shared_account(scene: &mut Scene<'_>, guards: Rules) {
    const SHARED: &str = "spiffe://example.org/shop";
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    draft[caller].attributes.set(hopseal::WORKLOAD, SHARED);
    for below in draft.below(caller) {
        if !draft[below].operation.is_message() {
            draft[below].attributes.set(hopseal::PEER_WORKLOAD, SHARED);
        }
    }
    scene.near_miss(guards, &mut draft, caller);
    scene.push(draft);
}

/// Plain HTTP to a sidecar on the same machine.
pub(super) fn loopback(scene: &mut Scene<'_>, guards: Rules) {
    at_second(scene, guards, |_, draft, hop| {
        let hop = &mut draft[hop];
        hop.tls = false;
        for to in [&mut hop.attributes, &mut hop.exit_attributes] {
            to.set("server.address", "127.0.0.1");
            to.set("network.peer.address", "127.0.0.1");
        }
        hop.exit_attributes.set("url.full", "http://127.0.0.1:8080/local");
        hop.exit_attributes.set("net.peer.name", "127.0.0.1");
        hop.exit_attributes.set("http.url", "http://127.0.0.1:8080/local");
    });
}
