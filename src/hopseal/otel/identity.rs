//! The identity at a hop, as a value of the context.

use std::fmt;
use std::sync::{Arc, LazyLock};

use hopseal_identity::attribute::{ACT, SUB};
use hopseal_identity::baggage::{Carried, Encrypted, Writer};
use hopseal_identity::seal::{SealFault, trace_prefix};
use hopseal_identity::{Assurance, CrossingCount};

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;

use super::ambient;
use super::attributes::Sealing;
use crate::Reason;
use crate::clock::UnixTime;
use crate::outcome::{Refused, Verified};
use crate::seal::waiting::{Holds, Names, Wanted};
use crate::seal::{Held, SealChecker, Sealed, Sealer, Txn};
#[cfg(feature = "tower")]
use crate::secret::Token;

/// Whose identity a hop acts with, and how sure that is. Cheap to clone; lives in the OpenTelemetry context.
///
/// ```
/// use hopseal::otel::{HopIdentity, with_identity};
/// use opentelemetry::Context;
/// let _entered = Context::current().with_value(HopIdentity::anonymous()).attach();
/// assert_eq!(HopIdentity::current().map(|identity| identity.assurance().as_str()), Some("anonymous"));
/// ```
#[derive(Clone)]
pub struct HopIdentity {
    inner: Arc<Inner>,
    observed: bool,
    /// The workload that calls.
    peer: Option<Arc<Verified>>,
    /// The credential, where it is kept to be sent on.
    #[cfg(feature = "tower")]
    token: Option<Arc<Token>>,
}

struct Inner {
    assurance: Assurance,
    reason: Option<Reason>,
    fault: Option<SealFault>,
    source: Source,
    arrived: Option<CrossingCount>,
}

impl Holds for Inner {
    fn held(&self) -> Option<&Held> {
        match &self.source {
            Source::Held(held) => Some(held),
            _ => None,
        }
    }
}

/// What vouches for the identity, or does not.
pub(super) enum Source {
    Nobody,
    /// A credential that was validated here.
    Held(Held),
    /// A seal that was checked here.
    Sealed(Sealed),
    /// What came, and nothing vouches for.
    Carried(Carried),
    /// What came, and we cannot read.
    Encrypted(Encrypted),
}

/// An identity on its way out.
pub(crate) enum Travelling {
    Readable(Carried),
    Encrypted(Encrypted),
}

impl Travelling {
    pub(super) fn with_hop(self, hop: CrossingCount) -> Self {
        match self {
            Self::Readable(carried) => Self::Readable(carried.with_hop(hop)),
            Self::Encrypted(encrypted) => Self::Encrypted(encrypted.with_hop(hop)),
        }
    }

    /// A header that begins with it, if there is one.
    pub(crate) fn write(travelling: Option<&Self>) -> Writer {
        match travelling {
            None => Writer::new(None),
            Some(Self::Readable(carried)) => Writer::new(Some(carried)),
            Some(Self::Encrypted(encrypted)) => Writer::encrypted(encrypted),
        }
    }
}

impl HopIdentity {
    fn new(assurance: Assurance, source: Source) -> Self {
        Self::from(Self::inner(assurance, source))
    }

    /// There was no credential and no identity with the request.
    #[must_use]
    pub fn anonymous() -> Self {
        // The most frequent of all, and always the same.
        static NOBODY: LazyLock<HopIdentity> =
            LazyLock::new(|| HopIdentity::new(Assurance::Anonymous, Source::Nobody));
        NOBODY.clone()
    }

    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(Assurance::Unknown, Source::Nobody)
    }

    /// A credential came and is bad. What came beside it does not count.
    #[must_use]
    pub fn refused(refused: &Refused) -> Self {
        let mut inner = Self::inner(Assurance::Refused, Source::Nobody);
        inner.reason = Some(refused.reason());
        Self::from(inner)
    }

    /// Members of ours came that make no identity: `malformed` or `incomplete`.
    #[must_use]
    pub fn unreadable(fault: SealFault) -> Self {
        let mut inner = Self::inner(Assurance::Unknown, Source::Nobody);
        inner.fault = Some(fault);
        Self::from(inner)
    }

    /// An identity came that we cannot read, for that reason: who it is, is not known here.
    #[must_use]
    pub fn encrypted(encrypted: Encrypted, fault: SealFault) -> Self {
        let mut inner = Self::inner(Assurance::Unknown, Source::Nobody);
        inner.arrived = encrypted.hop();
        inner.fault = Some(fault);
        inner.source = Source::Encrypted(encrypted);
        Self::from(inner)
    }

    /// An identity came with the request, and nobody has checked its seal.
    #[must_use]
    pub fn asserted(carried: Carried) -> Self {
        let mut inner = Self::inner(Assurance::Asserted, Source::Nobody);
        inner.arrived = carried.hop();
        inner.source = Source::Carried(carried);
        Self::from(inner)
    }

    /// Somebody says that it is that principal, of an issuer by its name in the registry. `None` where that cannot travel.
    #[cfg(all(feature = "jwt", feature = "tower"))]
    pub(crate) fn said_of(
        principal: &crate::Principal,
        issuer: &str,
        pseudonyms: &hopseal_identity::pseudonym::Pseudonyms,
    ) -> Option<Self> {
        use hopseal_identity::attribute::{ISS, KIND, TENANT};
        let sub = pseudonyms.current().of(&principal.issuer, &principal.id);
        let tenant = principal.tenant.as_deref().and_then(hopseal_identity::member::escape);
        let mut members = hopseal_identity::seal::Members::default();
        for (name, value) in [(SUB, sub.as_str()), (KIND, principal.kind.as_str()), (ISS, issuer)] {
            members.set(name, value).ok()?;
        }
        if let Some(tenant) = &tenant {
            members.set(TENANT, tenant).ok()?;
        }
        Carried::new(&members, None, None).ok().map(Self::asserted)
    }

    /// An identity came, and its seal is not accepted, for that reason.
    #[cfg(feature = "messaging")]
    pub(crate) fn faulty(carried: Carried, fault: SealFault) -> Self {
        let mut inner = Self::inner(Assurance::Asserted, Source::Nobody);
        inner.arrived = carried.hop();
        inner.fault = Some(fault);
        inner.source = Source::Carried(carried);
        Self::from(inner)
    }

    /// An identity came with the request in a trace: sealed if its seal is valid when the hop begins, else an assertion.
    #[must_use]
    pub fn checked(carried: Carried, checker: &SealChecker, trace_id: [u8; 16], at: UnixTime) -> Self {
        let mut inner = Self::inner(Assurance::Sealed, Source::Nobody);
        inner.arrived = carried.hop();
        match checker.check(&carried, trace_id, at) {
            Ok(sealed) => inner.source = Source::Sealed(sealed),
            Err(fault) => {
                inner.assurance = Assurance::Asserted;
                inner.fault = Some(fault);
                inner.source = Source::Carried(carried);
            }
        }
        Self::from(inner)
    }

    /// A credential was validated at this hop; `arrived` is what [came with the request](Self::checked). The credential is what
    /// counts: an identity beside it that is another's is a fault ([`SealFault::Mismatch`]) and is replaced. That more actors act than
    /// before is none: the caller exchanged the token.
    ///
    /// The transaction is that of the transaction token, or of the valid seal beside the credential, or a new one, whose id is made
    /// when it is first needed. `None` when the id of a transaction token cannot travel.
    #[must_use]
    pub fn verified(verified: Arc<Verified>, sealer: Arc<Sealer>, arrived: Option<&Self>) -> Option<Self> {
        let beside = arrived.and_then(Self::carried);
        let same = beside.is_none_or(|carried| is_of(carried, &verified, &sealer));
        let txn = match (&verified.evidence().token_id, beside) {
            (Some(id), _) if verified.evidence().credential == crate::Credential::TxnToken => {
                Some(Txn::new(id)?)
            }
            (_, Some(carried)) if same && arrived.is_some_and(|it| it.assurance() == Assurance::Sealed) => {
                Txn::of(carried)
            }
            _ => None,
        };
        let held = match txn {
            Some(txn) => Held::new(sealer, verified, txn),
            None => Held::in_new_transaction(sealer, verified),
        };
        let mut inner = Self::inner(Assurance::Verified, Source::Held(held));
        inner.fault = if same { arrived.and_then(Self::seal_fault) } else { Some(SealFault::Mismatch) };
        inner.arrived = arrived.and_then(Self::arrived_hop);
        Some(Self::from(inner))
    }

    fn from(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            observed: false,
            peer: None,
            #[cfg(feature = "tower")]
            token: None,
        }
    }

    /// The same where nobody is turned away, whatever it is: `hopseal.observe` says so on the span.
    #[must_use]
    pub const fn observed(mut self) -> Self {
        self.observed = true;
        self
    }

    /// The same, called by that workload: `hopseal.peer_workload` says so on the span. It is no part of who acts.
    #[must_use]
    pub fn with_peer(mut self, peer: Arc<Verified>) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The workload that calls, as its certificate was validated here, or by a declared proxy.
    #[must_use]
    pub fn peer(&self) -> Option<&Verified> {
        self.peer.as_deref()
    }

    /// With the credential itself, which clients of this service may then send on.
    #[cfg(feature = "tower")]
    pub(crate) fn with_token(mut self, token: Arc<Token>) -> Self {
        self.token = Some(token);
        self
    }

    /// The credential itself, if it was kept.
    #[cfg(feature = "tower")]
    pub(crate) const fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// Whether nobody is turned away here.
    #[must_use]
    pub const fn is_observed(&self) -> bool {
        self.observed
    }

    fn inner(assurance: Assurance, source: Source) -> Inner {
        Inner { assurance, reason: None, fault: None, source, arrived: None }
    }

    /// The identity of the context that is current: its value there, or else that of the [`with_identity`](super::with_identity)
    /// around, where a span that was built before has put its own context in place of ours.
    #[must_use]
    pub fn current() -> Option<Self> {
        Context::map_current(Self::of)
    }

    pub(crate) fn of(cx: &Context) -> Option<Self> {
        cx.get::<Self>().cloned().or_else(ambient::get)
    }

    /// How sure it is.
    #[must_use]
    pub fn assurance(&self) -> Assurance {
        self.inner.assurance
    }

    /// Why the credential was refused.
    #[must_use]
    pub fn refusal(&self) -> Option<Reason> {
        self.inner.reason
    }

    /// Why the seal that came was not accepted.
    #[must_use]
    pub fn seal_fault(&self) -> Option<SealFault> {
        self.inner.fault
    }

    /// The word of `hopseal.reason`: of a refusal, or of an assurance that is weaker for the want of a valid seal.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        let weaker = self.inner.assurance != Assurance::Verified;
        self.inner
            .reason
            .map(Reason::as_str)
            .or_else(|| self.inner.fault.filter(|_| weaker).map(SealFault::as_reason))
    }

    /// What was validated here, if the identity is `verified`.
    #[must_use]
    pub fn principal(&self) -> Option<&Verified> {
        self.verified_here().map(|verified| &**verified)
    }

    /// The same, to be kept.
    #[must_use]
    pub fn verified_here(&self) -> Option<&Arc<Verified>> {
        match &self.inner.source {
            Source::Held(held) => Some(held.verified()),
            _ => None,
        }
    }

    /// What came with the request, if the identity is `sealed` or `asserted`.
    #[must_use]
    pub fn carried(&self) -> Option<&Carried> {
        match &self.inner.source {
            Source::Sealed(sealed) => Some(sealed.carried()),
            Source::Carried(carried) => Some(carried),
            Source::Held(_) | Source::Nobody | Source::Encrypted(_) => None,
        }
    }

    /// The crossing counter that came with the request.
    #[must_use]
    pub fn arrived_hop(&self) -> Option<CrossingCount> {
        self.inner.arrived
    }

    pub(super) fn source(&self) -> &Source {
        &self.inner.source
    }

    /// Whether it is the very same.
    pub(super) fn is(&self, other: &Self) -> bool {
        let peers = |this: &Self| this.peer.as_ref().map(Arc::as_ptr);
        Arc::ptr_eq(&self.inner, &other.inner)
            && peers(self) == peers(other)
            && self.observed == other.observed
    }

    /// How its seal comes onto a span: at once, or when that is exported, if somebody does that.
    pub(super) fn sealing(&self, span: &SpanContext, now: UnixTime, names: Names) -> Sealing {
        let trace_id = span.trace_id().to_bytes();
        let Source::Held(held) = &self.inner.source else { return Sealing::NotYet };
        if names == [false; 3] {
            return Sealing::NotYet;
        }
        let wanted = || Wanted { held: Arc::clone(&self.inner) as Arc<dyn Holds>, at: now, names };
        let key = (trace_id, span.span_id().to_bytes());
        // What is not sampled is not exported.
        if span.is_sampled() && held.sealer().waiting().put(key, wanted()) {
            held.promise(trace_id, now);
            return Sealing::NotYet;
        }
        Sealing::Now(trace_id, now)
    }

    /// Whether there is anything that could travel on from here: what [`leaving`](Self::leaving) says, without a seal being made.
    pub(super) fn may_leave(&self, trace_id: [u8; 16], now: UnixTime) -> bool {
        match &self.inner.source {
            Source::Nobody => false,
            Source::Held(_) => true,
            Source::Sealed(_) | Source::Carried(_) | Source::Encrypted(_) => {
                self.leaving(trace_id, now, false).is_some()
            }
        }
    }

    /// What travels on from here in a trace; `None` when nobody's identity does. A seal that was found broken is not passed on;
    /// one that has ended, or that only others may be able to check, is.
    pub(super) fn leaving(&self, trace_id: [u8; 16], now: UnixTime, fresh: bool) -> Option<Travelling> {
        let readable = match &self.inner.source {
            Source::Nobody => None,
            // Somebody who has the key may find it good. In another trace nobody would.
            Source::Encrypted(encrypted) => {
                let known = self.inner.fault == Some(SealFault::UnknownKey);
                return known.then(|| Travelling::Encrypted(encrypted.clone()));
            }
            Source::Held(held) if fresh => held.sealed_now(trace_id, now).ok(),
            Source::Held(held) => held.carried(trace_id, now).ok(),
            Source::Sealed(sealed) => Some(sealed.carried().clone()),
            Source::Carried(carried) => {
                use SealFault::{Expired, Missing, Premature, UnknownKey};
                let harmless =
                    matches!(self.inner.fault, None | Some(Expired | Missing | Premature | UnknownKey));
                // A seal of another trace, as a message brings one, says nothing in this.
                let here =
                    carried.seal().is_none_or(|seal| trace_prefix(seal).as_ref() == trace_id.first_chunk());
                (harmless && here).then(|| carried.clone())
            }
        };
        readable.map(Travelling::Readable)
    }
}

/// A context with nothing in it but that there is nobody: the same for every such request.
#[cfg(feature = "tower")]
pub(crate) fn nobody() -> Context {
    static NOBODY: LazyLock<Context> = LazyLock::new(|| Context::new().with_value(HopIdentity::anonymous()));
    NOBODY.clone()
}

/// Whether an identity that came is that of the credential, or was before others came to act for it; under a pseudonym of another
/// key, whether it could be.
fn is_of(carried: &Carried, verified: &Verified, sealer: &Sealer) -> bool {
    let principal = verified.principal();
    let Some(sub) = carried.get(SUB) else { return false };
    let pseudonyms = sealer.pseudonyms();
    let is_of_actors = |since: usize| {
        let chain = principal.actors.iter().skip(since);
        let chain = chain.map(|actor| (actor.as_actor(), actor.issuer.as_deref()));
        pseudonyms.is_of_actors(sub, carried.get(ACT), chain).unwrap_or(true)
    };
    pseudonyms.is_of(sub, &principal.issuer, &principal.id).unwrap_or(true)
        // A token that was exchanged since names the new actors in front of those before (RFC 8693 section 4.1).
        && (0..=principal.actors.len()).any(is_of_actors)
}

impl fmt::Debug for HopIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HopIdentity")
            .field("assurance", &self.inner.assurance)
            .field("reason", &self.reason())
            .field("seal_fault", &self.inner.fault)
            .finish_non_exhaustive()
    }
}
