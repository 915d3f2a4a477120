//! What the agent of this machine says of certificates: a workload's own, and the authorities of others.

use std::fmt;
use std::pin::Pin;

use futures_core::Stream;
use spiffe::{WorkloadApiError, X509Context};
use zeroize::Zeroizing;

use super::X509Bundle;
use crate::spiffe_id::SpiffeId;
use crate::workload::{WorkloadApi, WorkloadFault, in_time};

/// What the agent hands out to this workload.
#[derive(Debug)]
#[non_exhaustive]
pub struct Workload {
    /// Its certificates, the one to use first. At least one.
    pub svids: Vec<OwnSvid>,
    /// The authorities of its own trust domain and of those that it is federated with.
    pub bundles: Vec<X509Bundle>,
}

impl Workload {
    /// The authorities of a trust domain.
    #[must_use]
    pub fn bundle(&self, trust_domain: &str) -> Option<&X509Bundle> {
        self.bundles.iter().find(|bundle| bundle.trust_domain() == trust_domain)
    }
}

/// An X.509-SVID of this workload itself, with its private key.
#[non_exhaustive]
pub struct OwnSvid {
    /// Who the workload is.
    pub id: SpiffeId,
    /// Its certificate and those that lead to the authority, in DER.
    pub chain: Vec<Vec<u8>>,
    /// The private key, in PKCS#8 DER.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for OwnSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSvid").field("id", &self.id).finish_non_exhaustive()
    }
}

impl WorkloadApi {
    /// The certificates of this workload and the authorities of others, as they are now.
    ///
    /// # Errors
    /// [`WorkloadFault`].
    pub async fn x509(&self) -> Result<Workload, WorkloadFault> {
        in_time(async { workload(&self.client().await?.fetch_x509_context().await?) }).await
    }

    /// The same, and again whenever something of it is replaced.
    ///
    /// # Errors
    /// [`WorkloadFault`].
    pub async fn updates(&self) -> Result<WorkloadUpdates, WorkloadFault> {
        let asked = async { Ok(self.client().await?.stream_x509_contexts().await?) };
        Ok(WorkloadUpdates(Box::pin(in_time(asked).await?)))
    }
}

fn workload(context: &X509Context) -> Result<Workload, WorkloadFault> {
    let svids: Option<Vec<OwnSvid>> = context
        .svids()
        .iter()
        .map(|svid| {
            Some(OwnSvid {
                id: SpiffeId::parse(&svid.spiffe_id().to_string()).ok()?,
                chain: svid.cert_chain().iter().map(|certificate| certificate.as_bytes().to_vec()).collect(),
                key: svid.private_key().as_bytes().to_vec().into(),
            })
        })
        .collect();
    let bundles: Option<Vec<X509Bundle>> = context
        .bundle_set()
        .iter()
        .map(|(name, bundle)| {
            let authorities = bundle.authorities().iter().map(spiffe::Certificate::as_bytes);
            X509Bundle::from_der(name.as_str(), authorities).ok()
        })
        .collect();
    let (svids, bundles) = svids.zip(bundles).ok_or(WorkloadFault::Answer)?;
    if svids.is_empty() {
        return Err(WorkloadFault::NotIssued);
    }
    Ok(Workload { svids, bundles })
}

/// What the agent hands out, as it changes: see [`WorkloadApi::updates`].
pub struct WorkloadUpdates(Pin<Box<dyn Stream<Item = Result<X509Context, WorkloadApiError>> + Send>>);

impl fmt::Debug for WorkloadUpdates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkloadUpdates(..)")
    }
}

impl WorkloadUpdates {
    /// What holds from now on: at once the first time, and then when something is replaced. `None` once the agent ended the
    /// connection, and after a fault: ask anew.
    ///
    /// # Errors
    /// [`WorkloadFault`]; what was handed out before goes on to hold.
    pub async fn next(&mut self) -> Option<Result<Workload, WorkloadFault>> {
        let next = std::future::poll_fn(|task| self.0.as_mut().poll_next(task)).await?;
        Some(next.map_err(WorkloadFault::from).and_then(|context| workload(&context)))
    }
}
