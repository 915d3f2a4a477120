//! Whose identity a frame shows, and what speaks for it.

use hopseal_identity::seal::SealFault;
use hopseal_identity::{Actor, Assurance, Basis, Kind};

use crate::dialect::KeyId;
use crate::field::Field;
use crate::record::{Entry, NAMED, Span};

/// Who acts at a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal<'t> {
    /// Its id, as the span says it.
    pub id: &'t str,
    /// Which fact named it.
    pub field: Field,
    /// Under which attribute key.
    pub key: KeyId,
    /// Its kind.
    pub kind: Kind,
    /// Its issuer, when shown.
    pub issuer: Option<&'t str>,
    /// Its tenant, when shown.
    pub tenant: Option<&'t str>,
    /// The client it came through, when shown.
    pub client: Option<&'t str>,
    /// Its session, when shown.
    pub session: Option<&'t str>,
    /// Who acts for it, outermost (most recent) first.
    pub actors: Vec<Actor<'t>>,
    /// Its OAuth scopes.
    pub scopes: Vec<&'t str>,
    /// Its roles.
    pub roles: Vec<&'t str>,
    /// When its credential ends, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
}

impl<'t> Principal<'t> {
    /// One of which no more is said.
    fn bare(entry: Entry<'t>) -> Self {
        Self {
            id: entry.text,
            field: entry.field,
            key: entry.key,
            kind: kind_of(entry),
            issuer: None,
            tenant: None,
            client: None,
            session: None,
            actors: Vec::new(),
            scopes: Vec::new(),
            roles: Vec::new(),
            expires_at: None,
        }
    }

    /// Whether it is a user or an app acting for one, not a service by itself.
    #[must_use]
    pub fn is_user(&self) -> bool {
        self.kind == Kind::User
    }
}

/// What is known of the identity at a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity<'t> {
    /// How sure.
    pub assurance: Assurance,
    /// Why that is believed.
    pub basis: Basis,
    /// How it was established, when said.
    pub method: Option<&'t str>,
    /// Why it is no better, when said.
    pub reason: Option<&'t str>,
    /// What a second check of its seal said, where one could be made.
    pub seal: Option<SealVerdict>,
    /// Who, for verified, sealed and asserted.
    pub principal: Option<Principal<'t>>,
}

impl Identity<'_> {
    /// Nothing known.
    pub(crate) const UNKNOWN: Self = Self {
        assurance: Assurance::Unknown,
        basis: Basis::Claimed,
        method: None,
        reason: None,
        seal: None,
        principal: None,
    };
}

/// What checking a span's seal again says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealVerdict {
    /// It is valid and bound to this trace.
    Valid {
        /// Whether it was made with a key of the very service that shows it.
        by_itself: bool,
    },
    /// It is not.
    Broken(SealFault),
}

/// How identities are judged beyond what spans say.
pub(crate) struct Judges<'a> {
    /// Whether the policy declares the sender of this span a proxy.
    pub(crate) is_proxy: &'a dyn Fn(&Span<'_>) -> bool,
    /// Whether an attribute under this key on this span comes from a proxy that the policy declares.
    pub(crate) proxy: &'a dyn Fn(&Span<'_>, KeyId) -> bool,
    /// Whether a key is that of a request header, which the caller wrote.
    pub(crate) header: &'a dyn Fn(KeyId) -> bool,
    /// The seal on this span, checked again, if keys are at hand.
    pub(crate) seal: &'a dyn Fn(&Span<'_>) -> Option<SealVerdict>,
}

/// Fields that name a principal, the one preferred first.
const NAMES: [Field; 7] = [
    Field::Sub,
    Field::User,
    Field::UserPseudonym,
    Field::Principal,
    Field::UserName,
    Field::UserEmail,
    Field::Client,
];

/// Values that say that nobody is logged in, in any case of letters.
const NOBODY: [&str; 7] =
    ["anonymous", "anonymous-user", "anonymous_user", "anonymoususer", "guest", "nobody", "unauthenticated"];

/// What stands where programs put an id and have none, in any case of letters.
const NO_ID: [&str; 11] =
    ["-", "(null)", "<nil>", "[object object]", "n/a", "nan", "nil", "none", "null", "undefined", "unknown"];

fn is_one_of(id: &str, words: &[&str]) -> bool {
    words.iter().any(|word| id.eq_ignore_ascii_case(word))
}

/// Whether an id names nobody: it says that nobody is logged in, or stands for none.
pub(crate) fn is_nobody(id: &str) -> bool {
    const LONGEST: usize = 15;
    id.len() <= LONGEST && (is_one_of(id, &NOBODY) || is_one_of(id, &NO_ID))
}

/// The spans of a frame, the entry span first, then the rest in order of time.
#[derive(Debug, Clone, Copy)]
struct Frame<'f, 't> {
    spans: &'f [&'f Span<'t>],
    /// Every field on any of them.
    mask: u128,
}

impl<'f, 't> Frame<'f, 't> {
    fn of(spans: &'f [&'f Span<'t>]) -> Self {
        Self { spans, mask: spans.iter().fold(0, |mask, span| mask | span.mask()) }
    }

    /// The spans, unless none of them has that field.
    fn with(self, field: Field) -> impl Iterator<Item = &'f Span<'t>> {
        let spans = if self.mask & field.bit() == 0 { &[] } else { self.spans };
        spans.iter().copied()
    }

    /// Every non-empty entry of `field`, the entry span's first.
    fn entries(self, field: Field) -> impl Iterator<Item = (&'f Span<'t>, Entry<'t>)> {
        self.with(field).flat_map(move |span| {
            span.entries_of(field).filter(|entry| !entry.text.is_empty()).map(move |entry| (span, entry))
        })
    }

    fn first(self, field: Field) -> Option<&'t str> {
        self.with(field).find_map(|span| span.get(field))
    }

    /// Every text of `field` on the first span that has it: copies of a list on others add nothing.
    fn list(self, field: Field) -> impl Iterator<Item = &'t str> {
        let first = self.with(field).find(|span| span.has(field));
        first.into_iter().flat_map(move |span| span.all(field))
    }
}

/// Judges a frame: its entry span first, then the rest in order of time.
pub(crate) fn identity<'t>(spans: &[&Span<'t>], judges: &Judges<'_>) -> Identity<'t> {
    let frame = Frame::of(spans);
    if frame.mask & NAMED == 0 {
        return Identity::UNKNOWN;
    }
    if let Some(identity) = crate_evidence(frame, judges) {
        return identity;
    }
    let (mut named, mut in_header, mut nobody) = (None, None, false);
    for field in NAMES {
        for span in frame.with(field) {
            for entry in span.entries_of(field).filter(|entry| !entry.text.is_empty()) {
                if is_nobody(entry.text) {
                    nobody |= is_one_of(entry.text, &NOBODY);
                } else if !(judges.header)(entry.key) {
                    named = named.or(Some((span, entry)));
                } else if in_header.is_none() || (judges.proxy)(span, entry.key) {
                    in_header = Some((span, entry));
                }
            }
        }
    }
    let framework = framework(frame);
    let by_proxy = |(span, entry): (&Span<'_>, Entry<'_>)| (judges.proxy)(span, entry.key);
    // What the caller wrote is no match for what the service found out.
    let in_header = in_header.filter(|header| framework != Some(false) || by_proxy(*header));
    if let Some((span, entry)) = named.or(in_header) {
        let (assurance, method) = match framework {
            _ if by_proxy((span, entry)) => (Assurance::Verified, Some("proxy")),
            Some(true) if named.is_some() => (Assurance::Verified, Some("framework")),
            _ => (Assurance::Asserted, None),
        };
        let principal = Some(principal(frame, entry));
        return Identity { assurance, method, principal, ..Identity::UNKNOWN };
    }
    let assurance = match framework {
        Some(true) => Assurance::Verified,
        Some(false) => Assurance::Anonymous,
        None if nobody => Assurance::Anonymous,
        None => Assurance::Unknown,
    };
    let method = (assurance == Assurance::Verified).then_some("framework");
    Identity { assurance, method, ..Identity::UNKNOWN }
}

/// The words of the crate, from the first span that carries them.
fn crate_evidence<'t>(frame: Frame<'_, 't>, judges: &Judges<'_>) -> Option<Identity<'t>> {
    let span = frame.with(Field::Assurance).find(|span| span.has(Field::Assurance))?;
    let mut assurance = Assurance::parse(span.get(Field::Assurance)?)?;
    let mut basis = Basis::Claimed;
    let mut reason = span.get(Field::Reason);
    let seal = (judges.seal)(span);
    match seal {
        // Whoever got a seal can show it: it proves the identity that it holds, and that a credential was validated only where
        // the key is the service's own.
        Some(SealVerdict::Valid { by_itself }) => {
            if assurance == Assurance::Sealed || (assurance == Assurance::Verified && by_itself) {
                basis = Basis::Reverified;
            }
        }
        Some(SealVerdict::Broken(fault)) if assurance == Assurance::Sealed => {
            assurance = Assurance::Asserted;
            reason = Some(fault.as_reason());
        }
        Some(SealVerdict::Broken(_)) | None => {}
    }
    // One span's word, which its seal covers as a whole or not at all: nothing of other spans is added to it.
    let spans = [span];
    let own = Frame::of(&spans);
    let named = NAMES.iter().find_map(|field| own.entries(*field).next());
    let principal = match (assurance.is_identified(), named) {
        (true, Some((_, entry))) => Some(principal(own, entry)),
        _ => None,
    };
    let digests = span.get(Field::Act).map_or(0, |act| act.split('.').count());
    if principal.as_ref().is_some_and(|principal| principal.actors.len() > digests) {
        // More actors are named than were sealed.
        basis = Basis::Claimed;
    }
    Some(Identity { assurance, basis, method: span.get(Field::Method), reason, seal, principal })
}

/// Fields of web frameworks' security layers.
const FRAMEWORK: u128 = Field::AuthType.bit() | Field::Authenticated.bit() | Field::SecurityEvent.bit();

/// What a web framework's security layer says: authenticated, anonymous, or nothing.
fn framework(frame: Frame<'_, '_>) -> Option<bool> {
    let mut said = None;
    if frame.mask & FRAMEWORK == 0 {
        return said;
    }
    for span in frame.spans {
        for entry in span.entries_in(FRAMEWORK) {
            match (entry.field, entry.text) {
                (Field::AuthType, kind) => said = Some(!kind.starts_with("Anonymous")),
                (Field::Authenticated, truth) => said = Some(truth == "true"),
                (Field::SecurityEvent, _) => said = said.or(Some(true)),
                _ => {}
            }
        }
        if said == Some(false) {
            return said;
        }
    }
    said
}

/// Bits of every field that says more of a principal.
const MORE: u128 = Field::Kind.bit()
    | Field::ExpiresAt.bit()
    | Field::SealExp.bit()
    | Field::Actors.bit()
    | Field::Actor.bit()
    | Field::Iss.bit()
    | Field::Issuer.bit()
    | Field::SealedTenant.bit()
    | Field::Tenant.bit()
    | Field::SealedClient.bit()
    | Field::Client.bit()
    | Field::Session.bit()
    | Field::Scopes.bit()
    | Field::Scope.bit()
    | Field::Role.bit();

/// The principal that `entry` names.
fn principal<'t>(frame: Frame<'_, 't>, entry: Entry<'t>) -> Principal<'t> {
    match frame.mask & MORE {
        0 => Principal::bare(entry),
        _ => gathered(frame, entry),
    }
}

/// Gathers the rest of the principal that `entry` names.
fn gathered<'t>(frame: Frame<'_, 't>, entry: Entry<'t>) -> Principal<'t> {
    let first = |field| frame.first(field);
    let kind = first(Field::Kind).and_then(Kind::parse).unwrap_or_else(|| kind_of(entry));
    let expires_at = match frame.mask & (Field::ExpiresAt.bit() | Field::SealExp.bit()) {
        0 => None,
        _ => frame
            .spans
            .iter()
            .find_map(|span| span.number(Field::ExpiresAt).or_else(|| span.number(Field::SealExp))),
    };
    let words = |fields: &[Field]| -> Vec<&'t str> {
        let texts = fields.iter().flat_map(|field| frame.list(*field));
        let mut words: Vec<&str> =
            texts.flat_map(|text| text.split([' ', ',']).filter(|word| !word.is_empty())).collect();
        words.sort_unstable();
        words.dedup();
        words
    };
    let actors = [Field::Actors, Field::Actor].into_iter().find(|field| frame.mask & field.bit() != 0);
    let actors = actors
        .into_iter()
        .flat_map(|field| frame.list(field))
        .flat_map(|text| text.split(','))
        .filter(|text| !text.is_empty())
        .map(Actor::parse)
        .collect();
    Principal {
        kind,
        issuer: first(Field::Iss).or_else(|| first(Field::Issuer)),
        tenant: first(Field::SealedTenant).or_else(|| first(Field::Tenant)),
        client: first(Field::SealedClient).or_else(|| first(Field::Client)),
        session: first(Field::Session),
        actors,
        scopes: words(&[Field::Scopes, Field::Scope]),
        roles: words(&[Field::Role]),
        expires_at,
        ..Principal::bare(entry)
    }
}

/// The kind that an id tells of itself.
fn kind_of(entry: Entry<'_>) -> Kind {
    const SERVICES: [&str; 3] = ["spiffe://", "system:serviceaccount:", "service-account-"];
    let is_service =
        entry.field == Field::Client || SERVICES.iter().any(|prefix| entry.text.starts_with(prefix));
    if is_service { Kind::Service } else { Kind::User }
}

#[cfg(test)]
mod tests;
