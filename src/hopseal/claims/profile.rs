//! What each kind of token must be and must not be. What is accepted as one kind is never accepted as another (RFC 8725 section
//! 3.12).

use aws_lc_rs::digest;

use super::expected::Expected;
use super::identity::Default;
use super::payload::{Payload, missing, wrong};
use crate::Reason;
use crate::algorithm::Algorithm;
use crate::jose::{Json, quoted};
use crate::outcome::Refused;
use crate::principal::Credential;
use crate::registry::Issuer;
use crate::spiffe_id::SpiffeId;
use hopseal_identity::Kind;

/// Claims that only access tokens have: the scopes, and the client that they were granted to.
const OF_ACCESS: [&str; 4] = ["scope", "scp", "client_id", "cid"];
/// Claims that only ID tokens have: digests of what came with them (OpenID Connect Core 1.0 section 3.3.2.11).
const OF_LOGIN: [&str; 3] = ["at_hash", "c_hash", "s_hash"];
/// What only security event tokens have, logout tokens among them (RFC 8417 section 2.2).
const OF_EVENTS: [&str; 2] = ["events", "toe"];

/// Holds the type in the header to the kind, before any key is looked for.
pub(super) fn check_type(typ: Option<&str>, issuer: &Issuer, credential: Credential) -> Result<(), Refused> {
    let plain = matches!(typ, None | Some("jwt"));
    let right = match credential {
        Credential::AccessToken => {
            let named = if plain { "jwt" } else { typ.unwrap_or_default() };
            issuer.types().iter().any(|allowed| allowed == named)
        }
        Credential::IdToken => plain,
        Credential::JwtSvid => plain || typ == Some("jose"),
        Credential::TxnToken => typ == Some("txntoken+jwt"),
        _ => false,
    };
    if right {
        return Ok(());
    }
    let typ = typ.map_or_else(|| "none".to_owned(), |typ| format!("`{}`", quoted(typ)));
    Err(Refused::new(Reason::Type, format!("type {typ} for `{credential}`")))
}

/// Holds the claims to the kind, except for those that every kind has.
pub(super) fn check(
    payload: &Payload,
    typ: Option<&str>,
    algorithm: Algorithm,
    issuer: &Issuer,
    expected: &Expected<'_>,
) -> Result<(), Refused> {
    if let Some(name) = payload.any(&OF_EVENTS) {
        return Err(mixed_up(name, expected.credential));
    }
    match expected.credential {
        Credential::AccessToken => access_token(payload, typ, issuer),
        Credential::IdToken => id_token(payload, algorithm, issuer, expected),
        Credential::JwtSvid => jwt_svid(payload, algorithm, issuer),
        Credential::TxnToken => txn_token(payload),
        _ => Ok(()),
    }
}

/// Holds the claims of an access token that came without its header to what they must be.
pub(super) fn check_forwarded(payload: &Payload, issuer: &Issuer) -> Result<(), Refused> {
    if let Some(name) = payload.any(&OF_EVENTS) {
        return Err(mixed_up(name, Credential::AccessToken));
    }
    access_token(payload, None, issuer)
}

/// What holds for a kind where the registry says nothing.
pub(crate) const fn default(credential: Credential) -> Default {
    match credential {
        Credential::IdToken => Default { client: Some("azp"), kind: None },
        Credential::JwtSvid => Default { client: None, kind: Some(Kind::Service) },
        _ => Default { client: Some("client_id"), kind: None },
    }
}

fn access_token(payload: &Payload, typ: Option<&str>, issuer: &Issuer) -> Result<(), Refused> {
    if let Some(name) = payload.any(&OF_LOGIN) {
        return Err(mixed_up(name, Credential::AccessToken));
    }
    if typ == Some("at+jwt") {
        // RFC 9068 section 2.2, besides those that every kind must have.
        payload.name("client_id")?;
        payload.name("jti")?;
        return payload.seconds("iat")?.map(drop).ok_or_else(|| missing("iat"));
    }
    // The header does not tell a plain access token from an ID token. What large providers say of it in the payload does:
    // Keycloak by `typ`, Cognito by `token_use`.
    let said = match (payload.text("typ")?, payload.text("token_use")?) {
        (None, None) => false,
        (None | Some("Bearer" | "DPoP"), None | Some("access")) => true,
        _ => return Err(mixed_up("typ", Credential::AccessToken)),
    };
    // A `nonce` is repeated in an ID token, to those who log in.
    if !said && payload.get("nonce").is_some() {
        return Err(mixed_up("nonce", Credential::AccessToken));
    }
    // Where both come from one issuer, it must look like the one and not only not like the other.
    if !said && issuer.accepts(Credential::IdToken) && payload.any(&OF_ACCESS).is_none() {
        return Err(Refused::new(Reason::Type, "nothing tells it from an ID token"));
    }
    Ok(())
}

/// OpenID Connect Core 1.0 section 3.1.3.7.
fn id_token(
    payload: &Payload,
    algorithm: Algorithm,
    issuer: &Issuer,
    expected: &Expected<'_>,
) -> Result<(), Refused> {
    if let Some(name) = payload.any(&OF_ACCESS) {
        return Err(mixed_up(name, Credential::IdToken));
    }
    let typ = payload.text("typ")?.is_some_and(|typ| typ != "ID");
    if typ || payload.text("token_use")?.is_some_and(|token_use| token_use != "id") {
        return Err(mixed_up("typ", Credential::IdToken));
    }
    payload.seconds("iat")?.ok_or_else(|| missing("iat"))?;
    if payload.name("sub")?.len() > 255 {
        return Err(wrong("sub", "has over 255 bytes")); // section 2
    }
    let trusted = |audience: &str| issuer.audiences().iter().any(|ours| ours == audience);
    let audiences = payload.audiences()?;
    if let Some(other) = audiences.iter().find(|audience| !trusted(audience)) {
        return Err(Refused::new(Reason::Audience, format!("for `{}` too", quoted(other))));
    }
    match payload.text("azp")? {
        Some(azp) if !trusted(azp) => {
            return Err(Refused::new(Reason::Audience, format!("handed to `{}`", quoted(azp))));
        }
        None if audiences.len() > 1 => return Err(missing("azp")),
        Some(_) | None => {}
    }
    if let Some(nonce) = expected.nonce {
        match payload.text("nonce")? {
            Some(said) if said == nonce => {}
            Some(_) => return Err(wrong("nonce", "is not the one that was sent")),
            None => return Err(missing("nonce")),
        }
    }
    if let (Some(token), Some(said)) = (expected.access_token, payload.text("at_hash")?)
        && crate::jose::decode(said).is_none_or(|said| said != left_half(algorithm, token.expose()))
    {
        return Err(wrong("at_hash", "is not of the access token"));
    }
    Ok(())
}

/// The left half of the digest that the algorithm signs. For Ed25519, which signs none, that of SHA-512, as is usual.
fn left_half(algorithm: Algorithm, token: &str) -> Vec<u8> {
    let hash = match algorithm {
        Algorithm::Es256 | Algorithm::Hs256 | Algorithm::Ps256 | Algorithm::Rs256 => &digest::SHA256,
        Algorithm::Es384 | Algorithm::Hs384 | Algorithm::Ps384 | Algorithm::Rs384 => &digest::SHA384,
        Algorithm::EdDsa | Algorithm::Hs512 | Algorithm::Ps512 | Algorithm::Rs512 => &digest::SHA512,
    };
    let digest = digest::digest(hash, token.as_bytes());
    digest.as_ref().iter().take(digest.as_ref().len() / 2).copied().collect()
}

/// JWT-SVID section 3.
fn jwt_svid(payload: &Payload, algorithm: Algorithm, issuer: &Issuer) -> Result<(), Refused> {
    // Section 2.1 allows ES, RS and PS alone.
    if algorithm.is_symmetric() || algorithm == Algorithm::EdDsa {
        return Err(Refused::new(Reason::Algorithm, format!("{algorithm} for a JWT-SVID")));
    }
    let id = SpiffeId::parse(payload.name("sub")?)?;
    if id.trust_domain() != issuer.id() {
        return Err(Refused::new(Reason::Issuer, "of another trust domain"));
    }
    Ok(())
}

/// draft-ietf-oauth-transaction-tokens-10, Txn-Token Format.
fn txn_token(payload: &Payload) -> Result<(), Refused> {
    payload.name("txn")?;
    payload.name("req_wl")?;
    payload.text("scope")?.ok_or_else(|| missing("scope"))?;
    payload.seconds("iat")?.ok_or_else(|| missing("iat"))?;
    for name in ["tctx", "rctx"] {
        if !matches!(payload.get(name), None | Some(Json::Object(_))) {
            return Err(wrong(name, "is no object"));
        }
    }
    Ok(())
}

fn mixed_up(claim: &str, credential: Credential) -> Refused {
    Refused::new(Reason::Type, format!("`{claim}` is not of this kind: `{credential}`"))
}
