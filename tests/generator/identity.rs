//! Who acts, and how a service writes that on its span.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hopseal_identity::attribute as hopseal;

use super::dice::Dice;
use super::fleet::{Operation, Service, Stack};
use super::span::{Attributes, TraceId};

/// What a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A human being.
    User,
    /// A workload.
    Service,
}

/// The identity a hop received.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Identity {
    /// User or workload.
    pub(super) kind: Kind,
    /// The subject.
    pub(super) id: String,
    /// Its tenant.
    pub(super) tenant: String,
    /// The OAuth client.
    pub(super) client: String,
    /// `kind:id`, most recent first.
    pub(super) actors: Vec<String>,
    /// OAuth scopes.
    pub(super) scopes: Vec<String>,
    /// Seconds since the Unix epoch.
    pub(super) issued_at: i64,
    /// Seconds since the Unix epoch.
    pub(super) expires_at: i64,
    /// Digest of the credential.
    pub(super) fingerprint: String,
}

impl Identity {
    /// A user who logged in a minute before `now` (seconds), for 15 minutes.
    pub(super) fn user(dice: &mut Dice, id: &str, tenant: &str, now: i64) -> Self {
        Self {
            kind: Kind::User,
            id: id.to_owned(),
            tenant: tenant.to_owned(),
            client: "web-shop".to_owned(),
            actors: Vec::new(),
            scopes: ["orders.read", "orders.write", "profile"].map(str::to_owned).to_vec(),
            issued_at: now - 60,
            expires_at: now + 840,
            fingerprint: dice.hex(16),
        }
    }

    /// The client `client`, acting for itself in the tenant and with the times of this identity.
    pub(super) fn replaced_by_client(&self, dice: &mut Dice, client: &str) -> Self {
        Self {
            kind: Kind::Service,
            id: client.to_owned(),
            client: client.to_owned(),
            actors: Vec::new(),
            fingerprint: dice.hex(16),
            ..self.clone()
        }
    }

    /// The subject as `service` spells it.
    pub(super) fn spelled_by(&self, service: &Service) -> Self {
        let id = if service.respells { self.id.replace("u-", "acct-") } else { self.id.clone() };
        Self { id, ..self.clone() }
    }

    /// What the next hop receives from `caller`: with an exchange, the caller joins the chain.
    pub(super) fn passed_by(&self, caller: &Service, stack: Stack) -> Self {
        let mut next = self.clone();
        if stack == Stack::Exchanging {
            next.actors.insert(0, format!("service:{}", caller.workload));
            next.fingerprint = format!("{}{}", self.fingerprint.chars().skip(2).collect::<String>(), "7a");
        }
        next
    }
}

/// How a service without the crate names the identity it acts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `enduser.id`.
    EndUser,
    /// `user.id`.
    User,
    /// `enduser.pseudo.id`.
    Pseudonym,
    /// `usr.id`.
    Datadog,
    /// `user.uuid` and `oauth.clientId`: the only one of these that can name a client acting for itself.
    OAuth,
    /// A captured `x-user-id` header.
    Header,
}

impl Dialect {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::EndUser, Self::User, Self::Pseudonym, Self::Datadog, Self::OAuth, Self::Header];

    /// The attributes that name `identity`.
    pub(super) fn write(self, identity: &Identity, to: &mut Attributes) {
        let id = identity.id.as_str();
        if identity.kind == Kind::Service {
            to.set("oauth.clientId", identity.client.as_str());
            return;
        }
        match self {
            Self::EndUser => to.set("enduser.id", id),
            Self::User => to.set("user.id", id),
            Self::Pseudonym => to.set("enduser.pseudo.id", id),
            Self::Datadog => to.set("usr.id", id),
            Self::OAuth => {
                to.set("user.uuid", id);
                to.set("oauth.clientId", identity.client.as_str());
            }
            Self::Header => to.set("http.request.header.x-user-id", vec![id.to_owned()]),
        }
    }
}

/// Whether attributes that a service without the crate wrote name a user.
pub(super) fn names_user(attributes: &Attributes) -> bool {
    const KEYS: [&str; 6] = [
        "enduser.id",
        "user.id",
        "enduser.pseudo.id",
        "usr.id",
        "user.uuid",
        "http.request.header.x-user-id",
    ];
    KEYS.iter().any(|key| attributes.get(key).is_some()) && attributes.get(hopseal::ASSURANCE).is_none()
}

/// What else the crate writes beside the identity.
pub(super) struct Crossing<'a> {
    /// The service that writes.
    pub(super) service: &'a Service,
    /// Its caller, whose certificate it saw.
    pub(super) caller: Option<&'a Service>,
    /// The operation.
    pub(super) operation: &'a Operation,
    /// A seal for the members of this trace, where one travelled.
    pub(super) seal: Option<String>,
    /// When it was made, seconds since the Unix epoch.
    pub(super) sealed_at: i64,
    /// The transaction.
    pub(super) txn: String,
}

/// The attributes the crate sets on an entry span; without an identity, those of an anonymous call.
pub(super) fn write_crate(identity: Option<&Identity>, crossing: Crossing<'_>, to: &mut Attributes) {
    to.set(hopseal::WORKLOAD, crossing.service.workload.as_str());
    if let (Some(caller), false) = (crossing.caller, crossing.operation.is_message()) {
        to.set(hopseal::PEER_WORKLOAD, caller.workload.as_str());
    }
    let Some(identity) = identity else {
        to.set(hopseal::ASSURANCE, "anonymous");
        return;
    };
    let (assurance, method) =
        if crossing.seal.is_none() { ("verified", "access_token") } else { ("sealed", "seal") };
    to.set(hopseal::ASSURANCE, assurance);
    to.set(hopseal::METHOD, method);
    to.set(hopseal::SUB, identity.id.as_str());
    to.set(hopseal::KIND, if identity.kind == Kind::User { "user" } else { "service" });
    to.set(hopseal::ISS, "main");
    to.set(hopseal::TENANT, identity.tenant.as_str());
    to.set(hopseal::CLIENT, identity.client.as_str());
    if !identity.actors.is_empty() {
        to.set(hopseal::ACTORS, identity.actors.clone());
    }
    to.set(hopseal::SCOPES, identity.scopes.clone());
    to.set(hopseal::TOKEN_FINGERPRINT, identity.fingerprint.as_str());
    to.set(hopseal::ISSUED_AT, identity.issued_at);
    to.set(hopseal::NOT_BEFORE, identity.issued_at);
    to.set(hopseal::EXPIRES_AT, identity.expires_at);
    to.set(hopseal::ALG, "EdDSA");
    to.set(hopseal::KID, "k1");
    to.set(hopseal::AUDIENCE, vec!["https://api.example.org".to_owned(), crossing.service.name.clone()]);
    to.set(hopseal::TXN, crossing.txn);
    if let Some(seal) = crossing.seal {
        to.set(hopseal::SEAL, seal);
        to.set(hopseal::IAT, crossing.sealed_at);
        to.set(hopseal::EXP, crossing.sealed_at + 300);
    }
}

/// A detached JWS (RFC 7515 appendix F) over `identity`, whose header names the first half of `trace`. Nobody has
/// its key; the same members under the same trace give the same seal.
pub(super) fn seal(identity: &Identity, trace: TraceId) -> String {
    let prefix: String = trace.to_string().chars().take(16).collect();
    let header = format!(r#"{{"alg":"EdDSA","kid":"k1","tid":"{prefix}","typ":"hopseal"}}"#);
    let members = format!("{trace} {:?} {} {}", identity.kind, identity.id, identity.tenant);
    format!("{}..{}", BASE64URL.encode(header), BASE64URL.encode(Dice::of_text(&members).bytes::<64>()))
}
