//! PASETO v4 (<https://github.com/paseto-standard/paseto-spec>): form, keys and claims as strict as those of JWTs.
//!
//! ```text
//! v4.public. payload signature(64) [ . footer ]     Ed25519 over payload, footer and assertion
//! v4.local.  nonce(32) ciphertext tag(32) [ . footer ]    XChaCha20, keyed BLAKE2b
//! ```
//!
//! A footer is a JSON object whose `kid` is the id of the key (`k4.pid.`, `k4.lid.`; PASERK). A `v4.public` may leave it out
//! where its issuer has one key; a `v4.local` may not, as nothing else that can be read says whose it is.

mod keys;
#[cfg(test)]
mod tests;
mod time;

use std::fmt;

use pasetors::token::{Local, Public, UntrustedToken};
use pasetors::version4::{LocalToken, PublicToken, V4};

pub(crate) use keys::PasetoKeys;
use keys::{IssuerKeys, LocalKey, PublicKey};

use crate::Reason;
use crate::claims::{self, Expected, Payload, Terms, audience, missing, principal, wrong};
use crate::clock::UnixTime;
use crate::jose::{Json, MAX_BYTES, decode, quoted};
use crate::outcome::{Evidence, Refused, Verified};
use crate::principal::Credential;
use crate::registry::{Issuer, Registry};
use crate::secret::Token;

/// Longest footer, decoded: it is read before anything is verified.
const MAX_FOOTER: usize = 512;

/// A PASETO that is in order, and not believed yet.
pub(crate) struct Paseto<'t> {
    token: &'t Token,
    sealed: Sealed,
    kid: Option<String>,
    /// Whether the footer brings a wrapped key (`wpk`), which is not looked at.
    offered_key: bool,
}

enum Sealed {
    /// With what it says.
    Public(UntrustedToken<Public, V4>, Payload),
    Local(UntrustedToken<Local, V4>),
}

impl fmt::Debug for Paseto<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = match self.sealed {
            Sealed::Public(..) => "v4.public",
            Sealed::Local(_) => "v4.local",
        };
        f.debug_struct("Paseto").field("purpose", &purpose).field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl<'t> Paseto<'t> {
    pub(crate) fn parse(token: &'t Token) -> Result<Self, Refused> {
        let text = token.expose();
        check_form(text)?;
        let local = text.starts_with("v4.local.");
        let malformed = |_| Refused::new(Reason::Malformed, "too short, or not base64url");
        let (sealed, footer) = if local {
            let opaque = UntrustedToken::<Local, V4>::try_from(text).map_err(malformed)?;
            let footer = opaque.untrusted_footer().to_vec();
            (Sealed::Local(opaque), footer)
        } else {
            let open = UntrustedToken::<Public, V4>::try_from(text).map_err(malformed)?;
            let footer = open.untrusted_footer().to_vec();
            let payload = Payload::read(open.untrusted_payload())?;
            (Sealed::Public(open, payload), footer)
        };
        let (kid, offered_key) = read_footer(&footer)?;
        let prefix = if local { "k4.lid." } else { "k4.pid." };
        if kid.as_ref().is_some_and(|kid| !kid.starts_with(prefix)) {
            return Err(Refused::new(Reason::UnknownKey, "`kid` is not of this purpose"));
        }
        Ok(Self { token, sealed, kid, offered_key })
    }

    /// The issuer whose keys it must be sealed with. No other is tried.
    pub(crate) fn issuer<'r>(
        &self,
        registry: &'r Registry,
        keys: &PasetoKeys,
    ) -> Result<&'r Issuer, Refused> {
        match (&self.sealed, &self.kid) {
            (Sealed::Public(_, payload), _) => {
                let iss = payload.name("iss")?;
                registry.trusted(Credential::Paseto, iss).ok_or_else(|| {
                    Refused::new(Reason::Issuer, format!("`{}` for `{}`", quoted(iss), Credential::Paseto))
                })
            }
            (Sealed::Local(_), None) => Err(Refused::new(Reason::UnknownKey, "no `kid` in the footer")),
            (Sealed::Local(_), Some(kid)) => {
                let name = keys.owner(kid).ok_or_else(|| unknown(kid))?;
                registry.issuer(name).ok_or_else(|| unknown(kid))
            }
        }
    }

    /// Judges it by the rules and keys of its issuer.
    pub(crate) fn verify(
        &self,
        issuer: &Issuer,
        keys: &PasetoKeys,
        expected: &Expected<'_>,
        now: UnixTime,
    ) -> Result<Verified, Refused> {
        let none = IssuerKeys::default();
        let keys = keys.of_issuer(issuer.name()).unwrap_or(&none);
        let kid = self.kid.as_deref();
        let opened;
        let (payload, algorithm) = match &self.sealed {
            Sealed::Public(open, payload) => {
                verify_public(find(&keys.public, kid)?, open, expected.assertion)?;
                (payload, "v4.public")
            }
            Sealed::Local(opaque) => {
                let text = open_local(find(&keys.local, kid)?, opaque, expected.assertion)?;
                opened = Payload::read(text.as_bytes())?;
                (&opened, "v4.local")
            }
        };
        if payload.name("iss")? != issuer.id() {
            return Err(Refused::new(Reason::Issuer, "sealed with a key of another issuer"));
        }
        let terms = Terms::read(|name| date(payload, name))?;
        terms.check(issuer, now)?;
        let aud = payload.text("aud")?.ok_or_else(|| missing("aud"))?;
        let token_id = payload.get("jti").map(|_| payload.name("jti").map(str::to_owned)).transpose()?;
        if payload.get("cnf").is_some() {
            return Err(Refused::new(Reason::Binding, "bound, which is not supported for PASETO"));
        }
        Ok(Verified::new(
            Evidence {
                credential: Credential::Paseto,
                issuer: issuer.name().to_owned(),
                algorithm: Some(algorithm),
                kid: self.kid.clone(),
                token_id,
                subject: payload.name("sub")?.to_owned(),
                audience: Some(audience(&[aud], issuer, expected.audience)?),
                issued_at: terms.issued_at,
                not_before: terms.not_before,
                confirmation: None,
                fingerprint: self.token.fingerprint(),
                offered_key: self.offered_key,
                proxy: None,
            },
            principal(payload, issuer, terms.expiry, claims::default(Credential::Paseto))?,
        ))
    }
}

/// Three or four parts of canonical base64url, of version 4, in at most 8 KiB; before anything is decoded.
fn check_form(text: &str) -> Result<(), Refused> {
    let malformed = |what: &str| Err(Refused::new(Reason::Malformed, what));
    if text.len() > MAX_BYTES {
        return Err(Refused::new(Reason::TooLarge, format!("{} bytes, over {MAX_BYTES}", text.len())));
    }
    let parts: Vec<&str> = text.split('.').collect();
    let (version, purpose, encoded) = match parts.as_slice() {
        [version, purpose, body] => (*version, *purpose, vec![*body]),
        [version, purpose, body, footer] => (*version, *purpose, vec![*body, *footer]),
        _ => return malformed("not three or four parts"),
    };
    if !matches!((version, purpose), ("v4", "public" | "local")) {
        // Not quoted: of another kind of token, what stands there may be secret.
        return Err(Refused::new(Reason::Algorithm, "neither `v4.public` nor `v4.local`"));
    }
    if !encoded.iter().all(|part| decode(part).is_some_and(|bytes| !bytes.is_empty())) {
        return malformed("not base64url, or empty");
    }
    Ok(())
}

/// The key id of a footer, and whether it brings a key.
fn read_footer(footer: &[u8]) -> Result<(Option<String>, bool), Refused> {
    if footer.is_empty() {
        return Ok((None, false));
    }
    if footer.len() > MAX_FOOTER {
        return Err(Refused::new(Reason::TooLarge, format!("footer of {} bytes", footer.len())));
    }
    let json = Json::read(footer)?;
    if !matches!(json, Json::Object(_)) {
        return Err(Refused::new(Reason::Malformed, "footer is no object"));
    }
    let kid = match json.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_text().ok_or_else(|| wrong("kid", "is no text"))?.to_owned()),
    };
    Ok((kid, json.get("wpk").is_some()))
}

/// The key that goes by an id, or the only one.
fn find<'k, K>(keys: &'k [(String, K)], kid: Option<&str>) -> Result<&'k K, Refused> {
    match (kid, keys) {
        (Some(kid), keys) => {
            let found = keys.iter().find(|(id, _)| id == kid);
            found.map(|(_, key)| key).ok_or_else(|| unknown(kid))
        }
        (None, [(_, only)]) => Ok(only),
        (None, []) => Err(Refused::new(Reason::UnknownKey, "no key for this purpose")),
        (None, _) => Err(Refused::new(Reason::UnknownKey, "no `kid`, and more than one key")),
    }
}

fn verify_public(
    key: &PublicKey,
    token: &UntrustedToken<Public, V4>,
    assertion: &[u8],
) -> Result<String, Refused> {
    let verified = PublicToken::verify(key, token, None, Some(assertion));
    let refused = |_| Refused::new(Reason::Signature, "not by this key, or for another assertion");
    verified.map(|token| token.payload().to_owned()).map_err(refused)
}

fn open_local(
    key: &LocalKey,
    token: &UntrustedToken<Local, V4>,
    assertion: &[u8],
) -> Result<String, Refused> {
    let opened = LocalToken::decrypt(key, token, None, Some(assertion));
    let refused = |_| Refused::new(Reason::Signature, "not by this key, or for another assertion");
    opened.map(|token| token.payload().to_owned()).map_err(refused)
}

/// A time as PASETO writes it: RFC 3339 in a text.
fn date(payload: &Payload, name: &'static str) -> Result<Option<UnixTime>, Refused> {
    match payload.text(name)? {
        None => Ok(None),
        Some(text) => {
            time::parse(text).map(Some).ok_or_else(|| wrong(name, "is no date and time of RFC 3339"))
        }
    }
}

fn unknown(kid: &str) -> Refused {
    Refused::new(Reason::UnknownKey, format!("no key `{}`", quoted(kid)))
}
