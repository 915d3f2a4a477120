//! X.509-SVIDs: the workload on the other side of a connection, by its certificate (SPIFFE X509-SVID).

mod bundle;
mod der;
#[cfg(test)]
mod tests;
#[cfg(feature = "workload-api")]
mod workload;

pub use bundle::{BundleError, X509Bundle};
use der::{CRL_SIGN, DIGITAL_SIGNATURE, Facts, KEY_CERT_SIGN};
#[cfg(feature = "workload-api")]
pub use workload::{OwnSvid, Workload, WorkloadUpdates};

use crate::Reason;
use crate::clock::UnixTime;
use crate::mesh::workload as principal_of;
use crate::outcome::{Evidence, Refused, Verified};
use crate::principal::Credential;
use crate::registry::{MAX_SKEW, Registry};
use crate::secret::Fingerprint;
use crate::spiffe_id::SpiffeId;

/// Largest certificate.
const MAX_BYTES: usize = 16 * 1024;
/// Most certificates of a chain.
const MAX_CHAIN: usize = 8;

/// Who verifies the chain of a certificate.
#[derive(Debug, Clone, Copy)]
pub enum Chain<'b> {
    /// The caller's TLS did: the peer proved to hold the key, and the chain leads to a certificate authority *of the trust domain
    /// that the certificate names*. Where more than one trust domain is trusted, to lead to any of their authorities is not
    /// enough: hand over the bundle.
    ByTls,
    /// To be verified here against this bundle, which is of the trust domain that the certificate names. That the peer holds the
    /// key is for the caller's TLS to have seen, all the same.
    Against(&'b X509Bundle),
}

/// Judges the certificate of a peer: `certificates` in DER, its own first.
pub(crate) fn validate(
    registry: &Registry,
    certificates: &[&[u8]],
    chain: Chain<'_>,
    now: UnixTime,
) -> Result<Verified, Refused> {
    let (leaf, others) =
        certificates.split_first().ok_or_else(|| Refused::new(Reason::Malformed, "no certificate"))?;
    if certificates.len() > MAX_CHAIN || certificates.iter().any(|der| der.len() > MAX_BYTES) {
        return Err(Refused::new(Reason::TooLarge, "a chain of more or larger certificates than can be"));
    }
    let facts = Facts::read(leaf).ok_or_else(|| Refused::new(Reason::Malformed, "no X.509 certificate"))?;
    let [uri] = facts.uris.as_slice() else {
        // Section 2: exactly one; with two, who it is would depend on who looks.
        return Err(Refused::new(Reason::Claim, format!("{} URIs, not one", facts.uris.len())));
    };
    let id = SpiffeId::parse(uri)?;
    // Section 4: a leaf that could sign others could be anybody.
    if facts.is_ca {
        return Err(Refused::new(Reason::Type, "the certificate of an authority"));
    }
    let usage = facts.key_usage.ok_or_else(|| Refused::new(Reason::MissingClaim, "no key usage"))?;
    if usage & DIGITAL_SIGNATURE == 0 || usage & (KEY_CERT_SIGN | CRL_SIGN) != 0 {
        return Err(Refused::new(Reason::Type, "a key usage that is not of a workload"));
    }
    let issuer = registry
        .trusted(Credential::X509Svid, id.trust_domain())
        .ok_or_else(|| Refused::new(Reason::Issuer, "of a trust domain that is not trusted"))?;
    if facts.not_before > facts.not_after {
        return Err(Refused::new(Reason::Claim, "ends before it begins"));
    }
    if now.plus(issuer.skew()) < facts.not_before {
        return Err(Refused::new(Reason::Premature, "before its time"));
    }
    if now > facts.not_after.plus(issuer.skew()) {
        return Err(Refused::new(Reason::Expired, format!("{} s ago", now.since(facts.not_after))));
    }
    // Authorities set the beginning back by some minutes, for clocks that are behind.
    let longest = issuer.max_lifetime().saturating_add(MAX_SKEW);
    if facts.not_after.since(facts.not_before) > longest {
        return Err(Refused::new(Reason::Lifetime, format!("over {longest} s")));
    }
    if let Chain::Against(bundle) = chain {
        if bundle.trust_domain() != id.trust_domain() {
            return Err(Refused::new(Reason::Issuer, "the bundle is of another trust domain"));
        }
        // By our clock, and within the difference that is allowed for.
        let at = UnixTime(now.0.clamp(facts.not_before.0, facts.not_after.0));
        bundle.verify(leaf, others, at)?;
    }
    Ok(Verified::new(
        Evidence {
            credential: Credential::X509Svid,
            issuer: issuer.name().to_owned(),
            algorithm: None,
            kid: None,
            token_id: Some(facts.serial),
            subject: id.as_str().to_owned(),
            audience: None,
            issued_at: Some(facts.not_before),
            not_before: Some(facts.not_before),
            confirmation: None,
            fingerprint: Fingerprint::of(leaf),
            offered_key: false,
            proxy: None,
        },
        principal_of(&id, facts.not_after),
    ))
}
