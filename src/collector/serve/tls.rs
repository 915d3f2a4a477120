//! TLS: our certificate, and whose certificates of clients are believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The files, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Our chain, our own certificate first.
    pub(crate) certificate: PathBuf,
    /// Our private key.
    pub(crate) key: PathBuf,
    /// Authorities of clients. Without, clients are not asked for certificates.
    pub(crate) client_authorities: Option<PathBuf>,
    /// Whether a client without a certificate is turned away in the handshake.
    pub(crate) require_client_certificate: bool,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TlsError {
    /// A file has not in it what it should.
    #[error("cannot use `{}`", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// An authority of clients cannot be used.
    #[error("cannot use `{}`", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Certificates of clients cannot be verified.
    #[error("cannot verify certificates of clients")]
    Clients(#[source] VerifierBuilderError),
    /// Certificate and key do not go together, or are not supported.
    #[error("cannot serve with this certificate and key")]
    Server(#[source] rustls::Error),
}

/// Reads the files.
///
/// # Errors
/// [`TlsError`].
pub(crate) fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.certificate)?;
    let pem = |source| TlsError::Pem { path: files.key.clone(), source };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(pem)?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Server)?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                let refuse = |source| TlsError::Authority { path: path.clone(), source };
                roots.add(authority).map_err(refuse)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match files.require_client_certificate {
                true => verifier,
                false => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(TlsError::Clients)?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Server)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), source };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if found.is_empty() { Err(pem(rustls_pki_types::pem::Error::NoItemsFound)) } else { Ok(found) }
}
