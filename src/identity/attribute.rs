//! Span attributes that the crate `hopseal` writes on a hop's entry span, and the collector reads.
//!
//! Identity that OpenTelemetry has a name for travels under that name (`enduser.pseudo.id`, `user.roles`,
//! `session.id`); the rest stands here, under an own prefix, until the semantic conventions for identity and
//! access management (open-telemetry/semantic-conventions issue 4022) settle. Never a token.
//!
//! Times are seconds since the Unix epoch. Lists are string arrays.

macro_rules! attributes {
    ($($(#[doc = $doc:literal])+ $name:ident = $key:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $key;)+
        /// Every attribute, in the order of this page.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

attributes! {
    /// Pseudonym of the subject: id of the key, `.`, HMAC-SHA256 over issuer and subject, 128 bits, base64url.
    SUB = "hopseal.sub";
    /// Kind of the principal: `user`, `service` or `agent`.
    KIND = "hopseal.kind";
    /// Issuer, by its alias in the trust registry.
    ISS = "hopseal.iss";
    /// Tenant of the principal.
    TENANT = "hopseal.tenant";
    /// OAuth client that the credential was issued to.
    CLIENT = "hopseal.client";
    /// Delegation chain as `kind:id`, outermost (most recent) actor first.
    ACTORS = "hopseal.actors";
    /// OAuth scopes.
    SCOPES = "hopseal.scopes";
    /// [`Assurance`](crate::Assurance) of the hop, as the hop saw it.
    ASSURANCE = "hopseal.assurance";
    /// How it was established, a word of [`Method`](crate::Method).
    METHOD = "hopseal.method";
    /// Closed, label-safe reason of a refusal or of a weaker assurance. Of a credential a word of
    /// [`Reason`](crate::Reason); of a seal `seal_` and the word of [`SEAL_ERROR`].
    REASON = "hopseal.reason";
    /// Set to true where the layer only observes and never rejects.
    OBSERVE = "hopseal.observe";
    /// Fingerprint of the credential: id of the key, `.`, HMAC-SHA256 over its SHA-256, 64 bits, base64url. The same credential
    /// gives the same value.
    TOKEN_FINGERPRINT = "hopseal.token_fingerprint";
    /// Set to true when the credential may be used once only.
    ONE_TIME = "hopseal.one_time";
    /// When the credential was issued.
    ISSUED_AT = "hopseal.issued_at";
    /// When the credential begins to be valid.
    NOT_BEFORE = "hopseal.not_before";
    /// When the credential ends to be valid.
    EXPIRES_AT = "hopseal.expires_at";
    /// JOSE algorithm that verified it.
    ALG = "hopseal.alg";
    /// Key that verified it.
    KID = "hopseal.kid";
    /// Audiences of the credential.
    AUDIENCE = "hopseal.audience";
    /// This service's own workload id (SPIFFE ID).
    WORKLOAD = "hopseal.workload";
    /// The peer's workload id, from its certificate.
    PEER_WORKLOAD = "hopseal.peer_workload";
    /// Transaction id (`txn`, RFC 8417 section 2.2): the same across restarts of the trace.
    TXN = "hopseal.txn";
    /// Digests of the actors as they travelled in baggage, base64url of 8 bytes each, joined by `.`, most recent first.
    ACT = "hopseal.act";
    /// Where a seal that was made from another seal comes from: a [`Resealed`](crate::member::Resealed).
    RESEALED = "hopseal.resealed";
    /// When the seal was made.
    IAT = "hopseal.iat";
    /// When the seal ends to be valid.
    EXP = "hopseal.exp";
    /// The seal: a detached JWS over the members of this trace. See `seal`.
    SEAL = "hopseal.seal";
    /// Why the seal was not accepted, a word of [`SealFault`](crate::seal::SealFault): `algorithm`, `expired`,
    /// `incomplete`, `malformed`, `mismatch`, `missing`, `premature`, `sealer`, `signature`, `trace`,
    /// `unknown_key`.
    SEAL_ERROR = "hopseal.seal_error";
    /// Hop counter and running hash as they travel in baggage: a [`CrossingCount`](crate::CrossingCount).
    HOP = "hopseal.hop";
    /// Hop counter and running hash that arrived, on the entry span.
    HOP_BEFORE = "hopseal.hop_before";
    /// Hop counter and running hash that left, on the exit span.
    HOP_AFTER = "hopseal.hop_after";
    /// Identity that was about to leave for a destination outside the egress list, `true` when it was held back.
    LEAK_STOPPED = "hopseal.leak_stopped";
}

/// Baggage members covered by the seal, in the order they are signed (sorted by name). A member that was not
/// sent has no line.
pub const SEALED_MEMBERS: &[&str] = &[ACT, EXP, IAT, ISS, KIND, RESEALED, SUB, TENANT, TXN];
