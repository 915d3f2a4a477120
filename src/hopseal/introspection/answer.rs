//! What an issuer says of a token.

use crate::Reason;
use crate::claims::{Payload, Terms, audience, confirmation, default, principal};
use crate::clock::UnixTime;
use crate::http::{Answer, HttpFault};
use crate::jose::{Compact, Json, quoted};
use crate::keys::Keys;
use crate::outcome::{Evidence, Refused, Verified};
use crate::principal::Credential;
use crate::registry::Issuer;
use crate::secret::Token;

/// The media type of an answer that is signed (RFC 9701 section 5).
pub(super) const SIGNED: &str = "application/token-introspection+jwt";

/// Why an issuer said nothing about a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Silence {
    #[error("no answer")]
    Http(#[source] HttpFault),
    #[error("status {0}")]
    Status(u16),
    #[error("not an answer about a token")]
    Shape,
    #[error("not signed by the issuer for us")]
    Signature,
    #[error("too many questions at once, or too many without an answer")]
    Busy,
}

impl Silence {
    /// In one word of a closed set, for labels.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Http(fault) => fault.as_str(),
            Self::Status(_) => "status",
            Self::Shape => "shape",
            Self::Signature => "signature",
            Self::Busy => "busy",
        }
    }
}

/// Reads an answer that is not signed (RFC 7662 section 2.2).
pub(super) fn plain(answer: &Answer) -> Result<Payload, Silence> {
    if answer.status != 200 {
        return Err(Silence::Status(answer.status));
    }
    Payload::read(&answer.body).map_err(|_| Silence::Shape)
}

/// Reads an answer that is signed (RFC 9701 section 5): by the issuer, for us, of that very type, and not long ago.
pub(super) fn signed(
    answer: &Answer,
    keys: &Keys,
    issuer: &Issuer,
    client: &str,
    now: UnixTime,
) -> Result<Payload, Silence> {
    if answer.status != 200 {
        return Err(Silence::Status(answer.status));
    }
    let text = std::str::from_utf8(&answer.body).map_err(|_| Silence::Shape)?;
    let compact = Compact::parse(text.trim_ascii_end()).map_err(|_| Silence::Shape)?;
    if answer.media_type().as_deref() != Some(SIGNED) || compact.typ() != Some("token-introspection+jwt") {
        return Err(Silence::Shape);
    }
    let payload = keys.set.verify(&compact).map_err(|_| Silence::Signature)?;
    let payload = Payload::read(payload).map_err(|_| Silence::Shape)?;
    let for_us = payload.audiences().is_ok_and(|audiences| audiences.contains(&client));
    let from_it = payload.text("iss") == Ok(Some(issuer.id()));
    // It holds for as long as an answer that is not signed: as of now.
    let recent = matches!(payload.seconds("iat"), Ok(Some(iat))
        if iat <= now.plus(issuer.skew()) && now.since(iat) <= issuer.skew());
    if !for_us || !from_it || !recent {
        return Err(Silence::Signature);
    }
    payload.into_member("token_introspection").ok_or(Silence::Shape)
}

/// Judges what was said of a token, by the rules that a JWT with these claims would be held to. `ttl` is for how long it is
/// taken for true if the issuer does not say how long the token lives (RFC 7662 leaves that open).
pub(super) fn judge(
    answer: Payload,
    issuer: &Issuer,
    token: &Token,
    expected: Option<&str>,
    now: UnixTime,
    ttl: u64,
) -> Result<Result<Verified, Refused>, Silence> {
    match answer.get("active") {
        Some(Json::Bool(true)) => {
            // A token that a client got for itself has no other subject (RFC 9068 section 2.2); not everyone says so.
            let answer = answer.or("sub", "client_id");
            Ok(active(&answer, issuer, token, expected, now, ttl))
        }
        Some(Json::Bool(false)) => Ok(Err(Refused::new(Reason::Inactive, "says its issuer"))),
        _ => Err(Silence::Shape),
    }
}

fn active(
    answer: &Payload,
    issuer: &Issuer,
    token: &Token,
    expected: Option<&str>,
    now: UnixTime,
    ttl: u64,
) -> Result<Verified, Refused> {
    if let Some(iss) = answer.text("iss")?.filter(|iss| *iss != issuer.id()) {
        return Err(Refused::new(Reason::Issuer, format!("of `{}`", quoted(iss))));
    }
    // Some answer about refresh tokens too, which are for nobody but their issuer.
    for name in ["token_type", "typ", "token_use"] {
        let access = ["bearer", "dpop", "access", "access_token", "at+jwt"];
        if let Some(kind) =
            answer.text(name)?.filter(|kind| !access.contains(&kind.to_ascii_lowercase().as_str()))
        {
            return Err(Refused::new(Reason::Type, format!("`{name}` is `{}`", quoted(kind))));
        }
    }
    let terms = Terms {
        issued_at: answer.seconds("iat")?,
        not_before: answer.seconds("nbf")?,
        expiry: answer.seconds("exp")?.unwrap_or(now.plus(ttl.max(1))),
    };
    if answer.get("exp").is_some() {
        terms.check(issuer, now)?;
    } else if terms.issued_at.max(terms.not_before).is_some_and(|start| start > now.plus(issuer.skew())) {
        return Err(Refused::new(Reason::Premature, "`iat` or `nbf` is ahead of our clock"));
    }
    let audience = audience(&answer.audiences()?, issuer, expected)?;
    let principal = principal(answer, issuer, terms.expiry, default(Credential::Opaque))?;
    let name = |name| answer.get(name).map(|_| answer.name(name).map(str::to_owned)).transpose();
    Ok(Verified::new(
        Evidence {
            credential: Credential::Opaque,
            issuer: issuer.name().to_owned(),
            algorithm: None,
            kid: None,
            token_id: name("jti")?,
            subject: name("sub")?.unwrap_or_else(|| principal.id.clone()),
            audience: Some(audience),
            issued_at: terms.issued_at,
            not_before: terms.not_before,
            confirmation: confirmation(answer)?,
            fingerprint: token.fingerprint(),
            offered_key: false,
            proxy: None,
        },
        principal,
    ))
}
