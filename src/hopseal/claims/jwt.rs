//! One JWT, from bytes to a principal.

use std::fmt;

use super::expected::Expected;
use super::identity::principal;
use super::payload::{Payload, missing, wrong};
use super::profile;
use super::terms::{Terms, audience};
use crate::Reason;
use crate::UnixTime;
use crate::jose::{Compact, Json, decode, quoted};
use crate::keys::Keys;
use crate::outcome::{Confirmation, Evidence, Refused, Verified};
use crate::principal::Credential;
use crate::registry::{Issuer, Registry};
use crate::secret::{Fingerprint, Token};
use crate::spiffe_id::SpiffeId;

/// A JWT that is in order, and not believed yet.
pub(crate) struct Jwt<'t> {
    compact: Compact<'t>,
    payload: Payload,
    token: &'t Token,
}

impl fmt::Debug for Jwt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.compact.fmt(f)
    }
}

impl<'t> Jwt<'t> {
    /// Takes a token apart and reads its header and its payload, each once.
    pub(crate) fn parse(token: &'t Token) -> Result<Self, Refused> {
        let compact = Compact::parse(token.expose())?;
        let payload = Payload::read(compact.unverified_payload())?;
        Ok(Self { compact, payload, token })
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.compact.kid()
    }

    /// The issuer whose keys it must be signed with, by what it says of itself and before any key is looked at (RFC 8725
    /// section 3.8). No other is tried.
    pub(crate) fn issuer<'r>(
        &self,
        registry: &'r Registry,
        credential: Credential,
    ) -> Result<&'r Issuer, Refused> {
        let id = self.names(credential)?;
        registry
            .trusted(credential, &id)
            .ok_or_else(|| Refused::new(Reason::Issuer, format!("`{}` for `{credential}`", quoted(&id))))
    }

    /// Whom it names as its issuer.
    fn names(&self, credential: Credential) -> Result<String, Refused> {
        // Whatever its kind: who looks at one issuer and who looks at the other must see the same.
        let iss = self.payload.text("iss")?;
        match credential {
            // A workload belongs to its trust domain, whoever signs there (JWT-SVID section 3.1).
            Credential::JwtSvid => Ok(SpiffeId::parse(self.payload.name("sub")?)?.trust_domain().to_owned()),
            // A Txn-Token is bound to a trust domain by its `aud`; a trust domain has one service that issues them.
            Credential::TxnToken => match self.payload.audiences()?.as_slice() {
                [domain] => Ok((*domain).to_owned()),
                _ => Err(wrong("aud", "is not one trust domain")),
            },
            _ => match iss {
                Some("") => Err(wrong("iss", "is empty")),
                Some(iss) => Ok(iss.to_owned()),
                None => Err(missing("iss")),
            },
        }
    }

    /// Judges it by the rules and keys of its issuer. Whether its holder holds what it is bound to is for the caller to see.
    pub(crate) fn verify(
        &self,
        issuer: &Issuer,
        keys: &Keys,
        expected: &Expected<'_>,
        now: UnixTime,
    ) -> Result<Verified, Refused> {
        let (payload, credential) = (&self.payload, expected.credential);
        if !issuer.accepts(credential) || self.names(credential)? != issuer.id() {
            return Err(Refused::new(Reason::Issuer, "not of this issuer"));
        }
        profile::check_type(self.compact.typ(), issuer, credential)?;
        let algorithm = self.compact.algorithm();
        if !issuer.algorithms().contains(&algorithm) {
            let detail = format!("{algorithm} from `{}`", issuer.name());
            return Err(Refused::new(Reason::Algorithm, detail));
        }
        keys.set.verify(&self.compact)?;

        profile::check(payload, self.compact.typ(), algorithm, issuer, expected)?;
        believe(
            payload,
            issuer,
            expected,
            now,
            Seen {
                algorithm: Some(algorithm.as_str()),
                kid: self.compact.kid(),
                fingerprint: self.token.fingerprint(),
                offered_key: self.compact.offered_key(),
                proxy: None,
            },
        )
    }
}

/// Judges claims that a proxy forwards, without their signature: those of an access token. Whether the proxy may be believed is
/// for the caller to see.
pub(crate) fn forwarded(
    registry: &Registry,
    json: &[u8],
    asked: &Expected<'_>,
    fingerprint: Fingerprint,
    proxy: Option<&str>,
    now: UnixTime,
) -> Result<Verified, Refused> {
    let payload = Payload::read(json)?;
    let iss = payload.name("iss")?;
    let issuer = registry.trusted(Credential::AccessToken, iss).ok_or_else(|| {
        Refused::new(Reason::Issuer, format!("`{}` for `{}`", quoted(iss), Credential::AccessToken))
    })?;
    profile::check_forwarded(&payload, issuer)?;
    let seen = Seen { algorithm: None, kid: None, fingerprint, offered_key: false, proxy };
    believe(&payload, issuer, asked, now, seen)
}

/// What was seen of a credential besides its claims.
struct Seen<'s> {
    algorithm: Option<&'static str>,
    kid: Option<&'s str>,
    fingerprint: Fingerprint,
    offered_key: bool,
    proxy: Option<&'s str>,
}

/// What claims say that are of their issuer and of their kind: held to time and audience, and mapped.
fn believe(
    payload: &Payload,
    issuer: &Issuer,
    expected: &Expected<'_>,
    now: UnixTime,
    seen: Seen<'_>,
) -> Result<Verified, Refused> {
    let credential = expected.credential;
    let terms = Terms::read(|name| payload.seconds(name))?;
    terms.check(issuer, now)?;
    let subject = payload.name("sub")?.to_owned();
    let audience = match credential {
        Credential::TxnToken => issuer.id().to_owned(),
        _ => audience(&payload.audiences()?, issuer, expected.audience)?,
    };
    let id = if credential == Credential::TxnToken { "txn" } else { "jti" };
    let token_id = payload.get(id).map(|_| payload.name(id).map(str::to_owned)).transpose()?;
    Ok(Verified::new(
        Evidence {
            credential,
            issuer: issuer.name().to_owned(),
            algorithm: seen.algorithm,
            kid: seen.kid.map(str::to_owned),
            token_id,
            subject,
            audience: Some(audience),
            issued_at: terms.issued_at,
            not_before: terms.not_before,
            confirmation: confirmation(payload)?,
            fingerprint: seen.fingerprint,
            offered_key: seen.offered_key,
            proxy: seen.proxy.map(str::to_owned),
        },
        principal(payload, issuer, terms.expiry, profile::default(credential))?,
    ))
}

/// What a token is bound to. One that is bound in a way that cannot be checked here is good for nobody.
pub(crate) fn confirmation(payload: &Payload) -> Result<Option<Confirmation>, Refused> {
    let members = match payload.get("cnf") {
        None => return Ok(None),
        Some(Json::Object(members)) => members,
        Some(_) => return Err(wrong("cnf", "is no object")),
    };
    let mut confirmation = Confirmation { jkt: None, x5t_s256: None };
    for (name, value) in members {
        let slot = match name.as_str() {
            "jkt" => &mut confirmation.jkt,
            "x5t#S256" => &mut confirmation.x5t_s256,
            other => {
                let detail = format!("bound by `{}`, which is not supported", quoted(other));
                return Err(Refused::new(Reason::Binding, detail));
            }
        };
        let digest = value.as_text().and_then(decode).and_then(|digest| digest.try_into().ok());
        *slot = Some(digest.ok_or_else(|| wrong("cnf", "holds no SHA-256"))?);
    }
    if members.is_empty() {
        return Err(wrong("cnf", "is empty"));
    }
    Ok(Some(confirmation))
}
