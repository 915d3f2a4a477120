//! A credential, seal or certificate that should not have been accepted. All of it is the crate's own evidence.

use hopseal_identity::attribute as hopseal;

use crate::generator::draft::{Draft, HopId};
use crate::generator::fleet::SECOND;
use crate::generator::identity;
use crate::generator::scene::Scene;
use crate::generator::truth::Subject;

/// Spoils one called hop by `how`, and writes down that `rule` is true there, to be seen from it alone.
fn spoil(scene: &mut Scene<'_>, rule: &'static str, how: impl Fn(&mut Scene<'_>, &mut Draft, HopId)) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    how(scene, &mut draft, hop);
    scene.record(rule, &draft, hop, vec![draft[hop].entry]);
    scene.push(draft);
}

/// Where the policy wants a proof, a name alone was enough.
pub(super) fn unverified_identity(scene: &mut Scene<'_>) {
    spoil(scene, "unverified_identity", |_, draft, hop| {
        let to = &mut draft[hop].attributes;
        to.set(hopseal::ASSURANCE, "asserted");
        to.set(hopseal::METHOD, "proxy");
    });
}

/// A sealed member was edited on the way.
pub(super) fn baggage_tampered(scene: &mut Scene<'_>) {
    spoil(scene, "baggage_tampered", |scene, draft, hop| {
        let error = *scene.dice.pick(&["signature", "mismatch"]);
        let to = &mut draft[hop].attributes;
        to.set(hopseal::ASSURANCE, "asserted");
        to.set(hopseal::SEAL_ERROR, error);
    });
}

/// The tenant was edited on the way, under the seal of the right one, and nobody noticed.
pub(super) fn member_edited(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    // Below the gateway's callees: the gateway itself verified, and received no seal to compare with.
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    draft.cut_below(hop);
    let trace = draft[hop].trace;
    if let Some(identity) = &mut draft[hop].identity {
        let seal = identity::seal(identity, trace);
        let others: Vec<String> =
            scene.fleet.tenants.iter().filter(|tenant| **tenant != identity.tenant).cloned().collect();
        identity.tenant.clone_from(scene.dice.pick(&others));
        draft[hop].attributes.set(hopseal::SEAL, seal);
    }
    let evidence = draft.identified_above(hop).map_or_else(Vec::new, |above| draft.way(above, hop));
    scene.record("baggage_tampered", &draft, hop, evidence.clone());
    scene.record("cross_tenant", &draft, hop, evidence);
    scene.push(draft);
}

/// The credential had ended ten minutes before the call.
pub(super) fn expired_at_hop(scene: &mut Scene<'_>) {
    spoil(scene, "expired_at_hop", |scene, draft, hop| {
        let ended = scene.seconds() - 600;
        let to = &mut draft[hop].attributes;
        to.set(hopseal::ISSUED_AT, ended - 900);
        to.set(hopseal::NOT_BEFORE, ended - 900);
        to.set(hopseal::EXPIRES_AT, ended);
    });
}

/// The credential begins ten minutes after the call.
pub(super) fn premature_or_future(scene: &mut Scene<'_>) {
    spoil(scene, "premature_or_future", |scene, draft, hop| {
        let begins = scene.seconds() + 600;
        let to = &mut draft[hop].attributes;
        let key = *scene.dice.pick(&[hopseal::ISSUED_AT, hopseal::NOT_BEFORE]);
        to.set(key, begins);
        to.set(hopseal::EXPIRES_AT, begins + 900);
    });
}

/// The token was not signed at all.
pub(super) fn weak_verification(scene: &mut Scene<'_>) {
    spoil(scene, "weak_verification", |_, draft, hop| {
        draft[hop].attributes.set(hopseal::ALG, "none");
    });
}

/// The token was made for somebody else.
pub(super) fn foreign_audience(scene: &mut Scene<'_>) {
    spoil(scene, "weak_verification", |_, draft, hop| {
        draft[hop].attributes.set(hopseal::AUDIENCE, vec!["https://games.example.net".to_owned()]);
    });
}

/// A credential that is good for once opens two requests.
pub(super) fn replay_across_traces(scene: &mut Scene<'_>) {
    let (mut first, mut second) = (scene.request(), scene.request());
    let fingerprint = scene.dice.hex(16);
    for draft in [&mut first, &mut second] {
        draft[Draft::ROOT].attributes.set(hopseal::TOKEN_FINGERPRINT, fingerprint.as_str());
        draft[Draft::ROOT].attributes.set(hopseal::ONE_TIME, true);
    }
    let evidence = vec![first[Draft::ROOT].entry, second[Draft::ROOT].entry];
    scene.record_as("replay_across_traces", Subject::Operation, &first, Draft::ROOT, evidence.clone());
    scene.also(evidence);
    scene.push(first);
    scene.push(second);
}

/// A seal arrives that was made for another trace.
pub(super) fn transplanted_identity(scene: &mut Scene<'_>) {
    spoil(scene, "transplanted_identity", |scene, draft, hop| {
        let elsewhere = scene.dice.trace_id();
        let Some(seal) = draft[hop].identity.as_ref().map(|identity| identity::seal(identity, elsewhere))
        else {
            return;
        };
        let noticed = scene.dice.percent(50);
        let to = &mut draft[hop].attributes;
        to.set(hopseal::SEAL, seal);
        if noticed {
            to.set(hopseal::ASSURANCE, "asserted");
            to.set(hopseal::SEAL_ERROR, "trace");
        }
    });
}

/// The certificate of the caller is that of another workload.
pub(super) fn workload_mismatch(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    draft[hop].attributes.set(hopseal::PEER_WORKLOAD, "spiffe://example.org/debug-shell");
    let evidence = draft[hop].parent.map_or_else(Vec::new, |caller| draft.way(caller, hop));
    scene.record("workload_mismatch", &draft, hop, evidence);
    scene.push(draft);
}

/// A sealed call over plain HTTP, between two machines.
pub(super) fn identity_over_plaintext(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let over_http = |draft: &Draft, hop: HopId| {
        matches!(draft[hop].operation.protocol, crate::generator::fleet::Protocol::Http(_))
    };
    let hop = scene.choose(&draft, over_http);
    draft[hop].tls = false;
    scene.record("identity_over_plaintext", &draft, hop, vec![draft[hop].entry]);
    scene.also([draft[hop].exit]);
    scene.push(draft);
}

/// A bad token was seen, and the answer was given all the same.
pub(super) fn refused_but_served(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    draft.cut_below(hop);
    refuse(&mut draft, hop);
    if scene.dice.percent(30) {
        draft[hop].attributes.set(hopseal::OBSERVE, true); // a roll-out that only looks: still to be known
    }
    scene.record("refused_but_served", &draft, hop, vec![draft[hop].entry]);
    scene.push(draft);
}

/// Lets `hop` say that the credential it was shown is bad.
pub(in crate::generator) fn refuse(draft: &mut Draft, hop: HopId) {
    draft[hop].identity = None;
    let to = &mut draft[hop].attributes;
    to.set(hopseal::ASSURANCE, "refused");
    to.set(hopseal::METHOD, "access_token");
    to.set(hopseal::REASON, "signature");
}
