//! What a proxy in front of us says of a caller: the certificate that it saw (`x-forwarded-client-cert`), the claims of a token
//! that it validated. Anybody can send such headers; they are worth as much as the proof that they came from a proxy that
//! somebody declared.

#[cfg(test)]
mod tests;
mod xfcc;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal_identity::Kind;

pub use xfcc::ClientCertificate;

use crate::Reason;
use crate::claims::{Expected, forwarded};
use crate::clock::UnixTime;
use crate::outcome::{Evidence, Refused, Verified};
use crate::principal::{Credential, Principal};
use crate::registry::Registry;
use crate::secret::Fingerprint;
use crate::spiffe_id::SpiffeId;

/// Longest header.
const MAX_BYTES: usize = 8 * 1024;

/// The proxies that are believed, by their SPIFFE IDs.
///
/// ```
/// use hopseal::{Proxies, SpiffeId};
/// let proxies = Proxies::new([SpiffeId::parse("spiffe://prod.example/ns/edge/sa/gateway")?]);
/// # Ok::<(), hopseal::Refused>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(BTreeSet<String>);

impl Proxies {
    /// These and no others.
    pub fn new(ids: impl IntoIterator<Item = SpiffeId>) -> Self {
        Self(ids.into_iter().map(|id| id.as_str().to_owned()).collect())
    }

    /// Whether a peer is one of them.
    #[cfg(feature = "tower")]
    pub(crate) fn is_one(&self, peer: Option<&Verified>) -> bool {
        self.id(peer).is_some()
    }

    /// The id of a peer that is one of them. That it is that peer was validated here, or there were no [`Verified`].
    fn id<'p>(&self, peer: Option<&'p Verified>) -> Option<&'p str> {
        let peer = peer.filter(|peer| {
            peer.evidence().credential == Credential::X509Svid && peer.evidence().proxy.is_none()
        })?;
        self.0.contains(&peer.principal().id).then_some(peer.principal().id.as_str())
    }
}

/// What comes of a header of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forwarded {
    /// A declared proxy, whose own identity was validated here, says so.
    Verified(Arc<Verified>),
    /// Somebody says so. Fit for a span, as `asserted`; not for a decision.
    Asserted {
        /// Who it would be.
        principal: Box<Principal>,
        /// Whose word that would be, by the name in the registry.
        issuer: String,
    },
    /// It cannot be right.
    Refused(Refused),
}

/// The workload whose certificate the proxy saw: the last element of the header, which the proxy nearest to us adds.
pub(crate) fn certificate(
    registry: &Registry,
    proxies: &Proxies,
    peer: Option<&Verified>,
    header: &str,
    now: UnixTime,
) -> Result<Forwarded, Refused> {
    let seen = ClientCertificate::parse(header)?;
    let last = seen.last().ok_or_else(|| Refused::new(Reason::Malformed, "no certificate"))?;
    let id = match last.uris.as_slice() {
        [uri] => SpiffeId::parse(uri)?,
        other => return Err(Refused::new(Reason::Claim, format!("{} URIs, not one", other.len()))),
    };
    let issuer = registry
        .trusted(Credential::X509Svid, id.trust_domain())
        .ok_or_else(|| Refused::new(Reason::Issuer, "of a trust domain that is not trusted"))?;
    let proxy = proxies.id(peer);
    let expiry = peer.filter(|_| proxy.is_some()).map_or(now, |peer| peer.principal().expiry);
    let principal = workload(&id, expiry);
    // A proxy that passes the header on as it came does not put its name there.
    let Some(proxy) = proxy.filter(|proxy| last.by.iter().any(|by| by == proxy)) else {
        let issuer = issuer.name().to_owned();
        return Ok(Forwarded::Asserted { principal: Box::new(principal), issuer });
    };
    Ok(Forwarded::Verified(Arc::new(Verified::new(
        Evidence {
            credential: Credential::X509Svid,
            issuer: issuer.name().to_owned(),
            algorithm: None,
            kid: None,
            token_id: None,
            subject: principal.id.clone(),
            audience: None,
            issued_at: None,
            not_before: None,
            confirmation: None,
            fingerprint: last.sha256.map_or_else(|| Fingerprint::of(header.as_bytes()), Fingerprint),
            offered_key: false,
            proxy: Some(proxy.to_owned()),
        },
        principal,
    ))))
}

/// The claims of an access token that the proxy validated: base64url of its payload (`forward_payload_header` of Envoy,
/// `outputPayloadToHeader` of Istio). They are held to the rules of their issuer all the same.
pub(crate) fn claims(
    registry: &Registry,
    proxies: &Proxies,
    peer: Option<&Verified>,
    header: &str,
    expected: &Expected<'_>,
    now: UnixTime,
) -> Result<Forwarded, Refused> {
    if header.len() > MAX_BYTES {
        return Err(Refused::new(Reason::TooLarge, format!("{} bytes, over {MAX_BYTES}", header.len())));
    }
    // Envoy can be made to pad it.
    let json = URL_SAFE_NO_PAD.decode(header.trim_end_matches('='));
    let json = json.map_err(|_| Refused::new(Reason::Malformed, "not base64url"))?;
    let proxy = proxies.id(peer);
    let verified = forwarded(registry, &json, expected, Fingerprint::of(header.as_bytes()), proxy, now)?;
    if verified.evidence.confirmation.is_some() {
        // Proxies do not check proofs; and we cannot, without the token.
        return Err(Refused::new(Reason::Binding, "bound, and only its claims were forwarded"));
    }
    Ok(match proxy {
        Some(_) => Forwarded::Verified(Arc::new(verified)),
        None => {
            Forwarded::Asserted { principal: Box::new(verified.principal), issuer: verified.evidence.issuer }
        }
    })
}

/// A workload as a principal.
pub(crate) fn workload(id: &SpiffeId, expiry: UnixTime) -> Principal {
    Principal {
        id: id.as_str().to_owned(),
        issuer: id.trust_domain().to_owned(),
        kind: Kind::Service,
        tenant: None,
        client: None,
        session: None,
        actors: Vec::new(),
        scopes: Vec::new(),
        roles: Vec::new(),
        expiry,
    }
}
