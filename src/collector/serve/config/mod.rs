//! The configuration: read, held to its rules, and ready to be used. All of it before a port is bound.

mod error;
mod file;
mod resolve;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::alerts::AlertSettings;
use super::forward::ForwardSettings;
use super::keep::{KeepSettings, PublishSettings};
use super::listen::{ConnectionLimits, Port};
use super::pages::Links;
use super::receiver::RequestLimits;
use super::tls::TlsFiles;
pub(crate) use error::ConfigError;
pub(crate) use file::ConfigFile;
pub(crate) use file::LogLevel;
pub(crate) use resolve::{AccessSettings, SenderSettings};

/// What `hopseal serve` was told, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where to listen, for what.
    pub(crate) listen: Vec<(Port, SocketAddr)>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) senders: SenderSettings,
    pub(crate) access: AccessSettings,
    pub(crate) requests: RequestLimits,
    pub(crate) connections: ConnectionLimits,
    /// Bytes for all requests together.
    pub(crate) memory: usize,
    /// Longest time to answer what is open at the end.
    pub(crate) drain: Duration,
    pub(crate) judging: JudgingSettings,
    pub(crate) keep: KeepSettings,
    pub(crate) log: LogLevel,
    /// Where metrics are sent, and how often.
    pub(crate) otlp: Option<(String, Duration)>,
    /// Where warnings and errors of our own log are sent.
    pub(crate) own_log: Option<String>,
    /// Where what comes is sent on.
    pub(crate) forward: Option<ForwardSettings>,
    pub(crate) alerts: AlertSettings,
    /// Where else things are looked at.
    pub(crate) links: Links,
    /// Where findings are sent by OTLP.
    pub(crate) findings: PublishSettings,
}

/// What traces are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JudgingSettings {
    pub(crate) policy: Option<PathBuf>,
    /// A key set, and the trust domain that its seals are bound to.
    pub(crate) keys: Option<(PathBuf, String)>,
    /// What services show, where that is given. Read once.
    pub(crate) catalogue: Option<PathBuf>,
}

impl Config {
    /// Reads and resolves a file; without one, everything is as it is by default.
    ///
    /// # Errors
    /// [`ConfigError`], with line and column where there is one.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            let here = Path::new("");
            return resolve::resolve(&ConfigFile::default(), here)
                .map_err(|source| ConfigError::File { path: here.to_owned(), source });
        };
        let open = |source| ConfigError::Open { what: "configuration", path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(open)?;
        let beside = path.parent().unwrap_or(Path::new(""));
        let resolved = ConfigFile::parse(&text).and_then(|file| resolve::resolve(&file, beside));
        resolved.map_err(|source| ConfigError::File { path: path.to_owned(), source })
    }
}

/// The schema of configuration files (JSON Schema, draft 2020-12), pretty-printed.
pub(crate) fn schema() -> String {
    let schema = schemars::schema_for!(ConfigFile);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
