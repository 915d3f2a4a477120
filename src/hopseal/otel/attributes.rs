//! What of an identity stands on a span.

use std::sync::Arc;

use hopseal_identity::attribute::{
    ACT, ACTORS, ALG, ASSURANCE, AUDIENCE, CLIENT, EXP, EXPIRES_AT, HOP_BEFORE, IAT, ISS, KID, KIND, METHOD,
    OBSERVE, PEER_WORKLOAD, REASON, RESEALED, SCOPES, SEAL, SEAL_ERROR, SUB, TENANT, TOKEN_FINGERPRINT, TXN,
    WORKLOAD,
};
use hopseal_identity::baggage::Carried;
use hopseal_identity::{Kind, member};
use opentelemetry::{Array, StringValue, Value};

use super::identity::{HopIdentity, Source};
use crate::clock::UnixTime;
use crate::seal::Held;

/// The subject itself: only where it is asked for.
pub(super) const ENDUSER_ID: &str = "enduser.id";
const ENDUSER_PSEUDO_ID: &str = "enduser.pseudo.id";
const USER_ROLES: &str = "user.roles";
const SESSION_ID: &str = "session.id";

/// What is written on the entry span of a hop unless something else is asked for: everything that this crate knows, but not the
/// subject itself (`enduser.id`).
pub const DEFAULT_ATTRIBUTES: &[&str] = &[
    ACT,
    ACTORS,
    ALG,
    ASSURANCE,
    AUDIENCE,
    CLIENT,
    ENDUSER_PSEUDO_ID,
    EXP,
    EXPIRES_AT,
    HOP_BEFORE,
    IAT,
    ISS,
    KID,
    KIND,
    METHOD,
    OBSERVE,
    PEER_WORKLOAD,
    REASON,
    RESEALED,
    SCOPES,
    SEAL,
    SEAL_ERROR,
    SESSION_ID,
    SUB,
    TENANT,
    TOKEN_FINGERPRINT,
    TXN,
    USER_ROLES,
    WORKLOAD,
];

/// What of these is also written on spans within a hop, where that is asked for.
pub(super) const WITHIN: &[&str] = &[ASSURANCE, KIND, SUB, TENANT];

/// What comes with a seal, in the order of [`Names`](crate::seal::waiting::Names).
pub(super) const WITH_SEAL: [&str; 3] = [IAT, EXP, SEAL];

/// Whether a seal of ours is told too.
pub(super) enum Sealing {
    /// Of this trace, at that time.
    Now([u8; 16], UnixTime),
    /// When the span is exported, or not at all.
    NotYet,
}

/// Tells everything that may be written of an identity to `set`.
pub(super) fn tell(identity: &HopIdentity, sealing: Sealing, set: &mut dyn FnMut(&'static str, Value)) {
    set(ASSURANCE, identity.assurance().as_str().into());
    if identity.is_observed() {
        set(OBSERVE, true.into());
    }
    if let Some(peer) = identity.peer() {
        set(PEER_WORKLOAD, peer.principal().id.clone().into());
    }
    if let Some(reason) = identity.reason() {
        set(REASON, reason.into());
    }
    if let Some(fault) = identity.seal_fault() {
        set(SEAL_ERROR, fault.as_str().into());
    }
    if let Some(hop) = identity.arrived_hop() {
        set(HOP_BEFORE, hop.to_string().into());
    }
    match identity.source() {
        Source::Nobody | Source::Encrypted(_) => {}
        Source::Held(held) => tell_held(held, sealing, set),
        Source::Sealed(sealed) => {
            set(METHOD, "seal".into());
            tell_members(sealed.carried().iter(), set);
        }
        Source::Carried(carried) => tell_members(carried.iter(), set),
    }
}

fn tell_held(held: &Held, sealing: Sealing, set: &mut dyn FnMut(&'static str, Value)) {
    for (name, value) in held.told(|| of_credential(held)) {
        set(name, value.clone());
    }
    if let Some(txn) = held.txn() {
        set(TXN, shared(txn.shared()));
    }
    // Where none can be made it is verified all the same, and only nobody else is told.
    if let Sealing::Now(trace_id, now) = sealing
        && let Ok(carried) = held.carried(trace_id, now)
    {
        tell_seal(&carried, set);
    }
}

/// What is the same on every span that a credential is shown for: texts are shared, so that they cost little.
fn of_credential(held: &Held) -> Vec<(&'static str, Value)> {
    let (principal, evidence) = (held.verified().principal(), held.verified().evidence());
    let text = |text: &str| shared(&Arc::from(text));
    let mut told = vec![
        (SUB, shared(held.pseudonym())),
        (KIND, principal.kind.as_str().into()),
        (ISS, text(&evidence.issuer)),
        (METHOD, evidence.method().into()),
        (EXPIRES_AT, number(principal.expiry.0)),
        (TOKEN_FINGERPRINT, text(&held.fingerprint())),
    ];
    told.extend(held.members().map(|(name, value)| (name, shared(value))));
    if principal.kind == Kind::User {
        told.push((ENDUSER_PSEUDO_ID, shared(held.pseudonym())));
        told.push((ENDUSER_ID, text(&principal.id)));
    }
    if let Some(algorithm) = evidence.algorithm {
        told.push((ALG, algorithm.into()));
    }
    if let Some(audience) = &evidence.audience {
        told.push((AUDIENCE, list([audience.as_str()])));
    }
    if let Some(kid) = &evidence.kid {
        told.push((KID, text(kid)));
    }
    if let Some(client) = &principal.client {
        told.push((CLIENT, text(client)));
    }
    if !principal.actors.is_empty() {
        // A person who acts for another is no more to be read off than the subject.
        let actor = |actor: &crate::Acting| match actor.kind {
            Some(kind @ (Kind::Service | Kind::Agent)) => format!("{}:{}", kind.as_str(), actor.id),
            Some(Kind::User) => format!("user:{}", held.actor_digest(actor)),
            None => held.actor_digest(actor),
        };
        told.push((ACTORS, list(principal.actors.iter().map(actor))));
    }
    if !principal.scopes.is_empty() {
        told.push((SCOPES, list(principal.scopes.iter().map(String::as_str))));
    }
    if !principal.roles.is_empty() {
        told.push((USER_ROLES, list(principal.roles.iter().map(String::as_str))));
    }
    if let Some(session) = &principal.session {
        told.push((SESSION_ID, text(&held.session_digest(session))));
    }
    told
}

/// The seal, and the members that come with it.
pub(super) fn tell_seal(carried: &Carried, set: &mut dyn FnMut(&'static str, Value)) {
    tell_members(WITH_SEAL.into_iter().filter_map(|name| Some((name, carried.get(name)?))), set);
}

/// The members as they travel: what the seal is checked over again.
fn tell_members<'m>(
    members: impl Iterator<Item = (&'static str, &'m str)>,
    set: &mut dyn FnMut(&'static str, Value),
) {
    let (mut sub, mut user) = (None, false);
    for (name, value) in members {
        match name {
            SUB => sub = Some(value),
            KIND => user = value == Kind::User.as_str(),
            _ => {}
        }
        match member::seconds(value).filter(|_| matches!(name, IAT | EXP)) {
            Some(seconds) => set(name, number(seconds)),
            None => set(name, value.to_owned().into()),
        }
    }
    if let Some(sub) = sub.filter(|_| user) {
        set(ENDUSER_PSEUDO_ID, sub.to_owned().into());
    }
}

fn number(seconds: u64) -> Value {
    Value::I64(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn shared(text: &Arc<str>) -> Value {
    StringValue::from(Arc::clone(text)).into()
}

fn list(texts: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Value {
    let texts = texts.into_iter().map(|text| StringValue::from(text.into())).collect();
    Value::Array(Array::String(texts))
}
