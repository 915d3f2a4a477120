//! What is wrong with a configuration.

use std::io;
use std::path::PathBuf;

use hopseal::RegistryError;
use hopseal_correlate::policy::PolicyError;

use crate::check::CheckError;
use crate::serve::people::PeopleError;
use crate::serve::proof::ProofError;
use crate::serve::tls::TlsError;

/// The configuration, or a file that it names, cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {what} `{}`", path.display())]
    Open {
        /// What the file is.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The configuration says something that cannot be used.
    #[error("configuration `{}`", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What, and where.
        #[source]
        source: PolicyError,
    },
    /// The trust registry says something that cannot be used.
    #[error("trust registry `{}`", path.display())]
    Registry {
        /// Its path.
        path: PathBuf,
        /// What, and where.
        #[source]
        source: RegistryError,
    },
    /// An issuer is not in the trust registry.
    #[error("trust registry `{}` has no issuer `{issuer}`, whose tokens {who} known by", path.display())]
    Issuer {
        /// The registry.
        path: PathBuf,
        /// The name that it does not give.
        issuer: String,
        /// Who is.
        who: String,
    },
    /// Tokens cannot be validated by that registry.
    #[error("trust registry `{}`", path.display())]
    Tokens {
        /// The registry.
        path: PathBuf,
        /// Why.
        #[source]
        source: ProofError,
    },
    /// Keys of pseudonyms cannot be had.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// Certificate, key or authorities cannot be used.
    #[error("TLS")]
    Tls(#[source] TlsError),
    /// Spans are read by what the policy says of attributes, so that does not change while the service runs.
    #[error("`dialects` of the policy changed: that takes a restart")]
    Dialects,
    /// What traces are judged by cannot be used.
    #[error("judging")]
    Judging(#[source] CheckError),
}
