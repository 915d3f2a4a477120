//! A signed token in its compact form, taken apart and not yet believed.

use std::fmt;

use super::json::Json;
use super::{decode, quoted};
use crate::Reason;
use crate::algorithm::Algorithm;
use crate::outcome::Refused;

/// Longest token. Those of real providers stay well below; a server's headers end about here too.
pub(crate) const MAX_BYTES: usize = 8 * 1024;
/// Longest key id.
const MAX_KID: usize = 256;

/// A JWS in compact serialization (RFC 7515 section 3.1) whose form and header are in order. Nothing that it says is
/// true before [`KeySet::verify`](super::KeySet::verify).
pub struct Compact<'t> {
    /// What is signed: header and payload as they were sent.
    pub(super) signed: &'t str,
    /// In base64url.
    pub(super) signature: &'t str,
    payload: Vec<u8>,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    typ: Option<String>,
    offered_key: bool,
    /// The key that the header brings, for a proof of possession alone.
    pub(super) jwk: Option<Json>,
}

impl fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compact")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}

impl<'t> Compact<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Refused`]: nothing but three parts of canonical base64url in at most 8 KiB (RFC 8725 section 3.6 and following); a
    /// header with a member twice, without a supported `alg`, or with an extension that must be understood (`crit`, `b64`,
    /// `zip`); an encrypted or nested token.
    pub fn parse(token: &'t str) -> Result<Self, Refused> {
        // Before anything is decoded: garbage must cost nothing.
        if token.len() > MAX_BYTES {
            return refuse(Reason::TooLarge, format!("{} bytes, over {MAX_BYTES}", token.len()));
        }
        let legal = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
        if !token.bytes().all(legal) {
            return refuse(Reason::Malformed, "characters that are not of base64url");
        }
        let parts: Vec<&str> = token.split('.').collect();
        let (header, payload, signature) = match parts.as_slice() {
            [header, payload, signature] => (*header, *payload, *signature),
            [_, _, _, _, _] => return refuse(Reason::Encrypted, "five parts"),
            other => return refuse(Reason::Malformed, format!("{} parts", other.len())),
        };
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let header = decode(header).ok_or_else(|| malformed("header is not base64url"))?;
        let payload = decode(payload).ok_or_else(|| malformed("payload is not base64url"))?;
        let json = Json::read(&header)?;
        let header = Header::of(&json)?;
        if signature.is_empty() || decode(signature).is_none() {
            return Err(malformed("signature is not base64url, or empty"));
        }
        Ok(Self {
            signed,
            signature,
            payload,
            algorithm: header.algorithm,
            kid: header.kid,
            typ: header.typ,
            offered_key: header.offered_key,
            jwk: json.get("jwk").cloned(),
        })
    }

    /// The algorithm that the header names.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key id that the header names.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The type that the header names, as it is compared: in lower case and without `application/` (RFC 8725 section 3.11).
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Whether the header offers a key (`jwk`, `x5c`) or the address of one (`jku`, `x5u`). It is never looked at (RFC 8725
    /// section 3.10).
    #[must_use]
    pub const fn offered_key(&self) -> bool {
        self.offered_key
    }

    /// The payload, not believed yet.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }
}

struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    offered_key: bool,
}

impl Header {
    fn of(json: &Json) -> Result<Self, Refused> {
        if !matches!(json, Json::Object(_)) {
            return Err(malformed("header is no object"));
        }
        // RFC 7515 section 4.1.11, RFC 7797 section 6, RFC 7516 section 4.1.3: who ignores them reads another token.
        if let Some(name) = ["crit", "b64", "zip"].into_iter().find(|name| json.get(name).is_some()) {
            return refuse(Reason::Critical, format!("`{name}` in the header"));
        }
        if json.get("enc").is_some() {
            return refuse(Reason::Encrypted, "`enc` in the header");
        }
        let text = |name: &'static str| match json.get(name) {
            None => Ok(None),
            Some(value) => match value.as_text() {
                Some(text) => Ok(Some(text)),
                None => Err(malformed(format!("`{name}` is no text"))),
            },
        };
        let Some(name) = text("alg")? else { return refuse(Reason::Algorithm, "no `alg`") };
        let Some(algorithm) = Algorithm::parse(name) else {
            return refuse(Reason::Algorithm, format!("`{}`", quoted(name)));
        };
        // A token inside of the token: what the outer signature says of it is not what is asked here.
        if text("cty")?.is_some_and(|cty| crate::registry::media_type(cty) == "jwt") {
            return refuse(Reason::Type, "a nested token");
        }
        let kid = text("kid")?;
        if kid.is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID || kid.contains(char::is_control)) {
            return refuse(Reason::UnknownKey, "no usable `kid`");
        }
        let offered_key = ["jwk", "jku", "x5c", "x5u"].into_iter().any(|name| json.get(name).is_some());
        Ok(Self {
            algorithm,
            kid: kid.map(str::to_owned),
            typ: text("typ")?.map(crate::registry::media_type),
            offered_key,
        })
    }
}

fn malformed(detail: impl Into<String>) -> Refused {
    Refused::new(Reason::Malformed, detail)
}

fn refuse<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::new(reason, detail))
}
