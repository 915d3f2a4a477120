//! The certificate authorities of a trust domain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use super::der::Facts;
use crate::Reason;
use crate::clock::UnixTime;
use crate::jose::Json;
use crate::outcome::Refused;

/// Largest bundle.
const MAX_BYTES: usize = 1024 * 1024;
/// Most authorities.
const MAX_ANCHORS: usize = 100;

/// The certificate authorities of a trust domain, for X.509-SVIDs.
#[derive(Clone)]
pub struct X509Bundle {
    trust_domain: String,
    anchors: Vec<TrustAnchor<'static>>,
}

impl std::fmt::Debug for X509Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("X509Bundle")
            .field("trust_domain", &self.trust_domain)
            .field("authorities", &self.anchors.len())
            .finish()
    }
}

/// A bundle that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Over 1 MiB, or over 100 authorities.
    #[error("over 1 MiB, or over 100 authorities")]
    TooLarge,
    /// Not JSON, or a name stands twice.
    #[error("no JSON")]
    Json(#[source] Refused),
    /// Not a JWK set (SPIFFE Trust Domain and Bundle section 4).
    #[error("no SPIFFE bundle")]
    Shape,
    /// An entry for X.509 without exactly one certificate in `x5c`, or with one that is none.
    #[error("entry {0} of the bundle holds no certificate of an authority")]
    Certificate(usize),
    /// No authority in it: nothing would be trusted.
    #[error("no authority")]
    Empty,
}

impl X509Bundle {
    /// Reads a SPIFFE bundle (SPIFFE Trust Domain and Bundle section 4), as far as it is for X.509-SVIDs: entries whose `use` is
    /// `x509-svid`.
    ///
    /// # Errors
    /// [`BundleError`] for the first thing that is wrong.
    pub fn from_spiffe_bundle(trust_domain: &str, json: &[u8]) -> Result<Self, BundleError> {
        if json.len() > MAX_BYTES {
            return Err(BundleError::TooLarge);
        }
        let json = Json::read(json).map_err(BundleError::Json)?;
        let Some(Json::List(keys)) = json.get("keys") else { return Err(BundleError::Shape) };
        let mut certificates = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if key.get("use").and_then(Json::as_text) != Some("x509-svid") {
                continue;
            }
            // Section 4.2.2: exactly one, in the base64 of RFC 4648 section 4 (RFC 7517 section 4.7).
            let certificate = match key.get("x5c") {
                Some(Json::List(chain)) => match chain.as_slice() {
                    [only] => only.as_text().and_then(|text| STANDARD.decode(text).ok()),
                    _ => None,
                },
                _ => None,
            };
            certificates.push((index, certificate.ok_or(BundleError::Certificate(index))?));
        }
        Self::of(trust_domain, certificates.into_iter())
    }

    /// Of certificates in DER.
    ///
    /// # Errors
    /// [`BundleError`] for the first thing that is wrong.
    pub fn from_der<'c>(
        trust_domain: &str,
        certificates: impl IntoIterator<Item = &'c [u8]>,
    ) -> Result<Self, BundleError> {
        Self::of(trust_domain, certificates.into_iter().map(<[u8]>::to_vec).enumerate())
    }

    fn of(
        trust_domain: &str,
        certificates: impl Iterator<Item = (usize, Vec<u8>)>,
    ) -> Result<Self, BundleError> {
        let mut anchors = Vec::new();
        for (index, der) in certificates {
            if anchors.len() == MAX_ANCHORS {
                return Err(BundleError::TooLarge);
            }
            // A workload's certificate as an authority would vouch for itself.
            if !Facts::read(&der).is_some_and(|facts| facts.is_ca) {
                return Err(BundleError::Certificate(index));
            }
            let der = CertificateDer::from(der);
            let anchor = anchor_from_trusted_cert(&der).map_err(|_| BundleError::Certificate(index))?;
            anchors.push(anchor.to_owned());
        }
        if anchors.is_empty() {
            return Err(BundleError::Empty);
        }
        Ok(Self { trust_domain: trust_domain.to_owned(), anchors })
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Whether a chain leads to one of the authorities, and is good at that moment (RFC 5280 section 6).
    pub(super) fn verify(&self, leaf: &[u8], others: &[&[u8]], at: UnixTime) -> Result<(), Refused> {
        let leaf = CertificateDer::from(leaf);
        let certificate = EndEntityCert::try_from(&leaf).map_err(refused)?;
        let others: Vec<CertificateDer<'_>> = others.iter().map(|der| CertificateDer::from(*der)).collect();
        let at = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.0));
        certificate
            .verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &self.anchors,
                &others,
                at,
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map(drop)
            .map_err(refused)
    }
}

fn refused(error: Error) -> Refused {
    let reason = match error {
        Error::CertExpired { .. } => Reason::Expired,
        Error::CertNotValidYet { .. } => Reason::Premature,
        Error::UnknownIssuer => Reason::UnknownKey,
        Error::RequiredEkuNotFoundContext { .. } => Reason::Type,
        Error::InvalidSignatureForPublicKey => Reason::Signature,
        Error::BadDer => Reason::Malformed,
        _ => Reason::Signature,
    };
    // The names of its kinds of error are plain; what they hold may be long.
    let kind = format!("{error:?}");
    let kind: String = kind.chars().take_while(char::is_ascii_alphanumeric).collect();
    Refused::new(reason, format!("chain: {kind}"))
}
