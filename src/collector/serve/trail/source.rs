//! Who is asked: a data directory, or a service.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hopseal_identity::pseudonym::Pseudonyms;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::TrailError;
use crate::client::{AskError, Proofs, Service};
use crate::serve::api::Problem;
use crate::serve::config::Config;
use crate::serve::people::{self, KeyFile};
use crate::serve::store::{SqliteStore, Store, StoreError, StoreSettings};

/// Where a service keeps its trail where nothing else is said.
const FOLDER: &str = "hopseal-data";

/// Where the trail is, and how it is written.
#[derive(Debug, Args)]
pub(super) struct From {
    /// The data directory of the service. Default: that of `--config`, or else `hopseal-data`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration of the service: where its data is, and under which pseudonyms people are found.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A service that is asked in place of a directory: where its API is, such as `https://hopseal.internal:8317`.
    #[arg(long, value_name = "URL", conflicts_with_all = ["data", "config"])]
    url: Option<String>,
    #[command(flatten)]
    proofs: Proofs,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: TrailFormat,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TrailFormat {
    /// For people.
    Table,
    /// As the query API answers.
    Json,
}

/// Somebody who is looked for.
#[derive(Debug, Default, Args)]
pub(super) struct Person {
    /// The id of a principal as it stands on spans.
    #[arg(long, value_name = "ID")]
    pub(super) principal: Option<String>,
    /// Somebody by name: looked for as it is, and under its pseudonyms.
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// An issuer whose subject the user is: whose pseudonyms are looked for. Default: those of `--config`. A service knows its own.
    #[arg(long, value_name = "URL", requires = "user", conflicts_with = "url")]
    issuer: Vec<String>,
    /// A key that pseudonyms are made with: its id, and the file that holds it as base64url. The current one first. Default: those of
    /// `--config`. A service knows its own.
    #[arg(long, value_name = "ID=FILE", requires = "user", conflicts_with = "url")]
    pseudonym_key: Vec<String>,
}

/// Who is asked.
pub(super) enum Source {
    Folder(Box<Folder>),
    Service(Service),
}

/// A data directory, and under what people are found in it.
pub(super) struct Folder {
    store: SqliteStore,
    path: PathBuf,
    people: Option<(Pseudonyms, Vec<String>)>,
}

impl Source {
    pub(super) fn of(from: &From, person: &Person) -> Result<Self, TrailError> {
        if let Some(url) = &from.url {
            return Ok(Self::Service(Service::new(url, &from.proofs)?));
        }
        if from.proofs.are_given() {
            let why = "`--token`, `--ca`, `--cert` and `--key` are shown to a service: say which by `--url`";
            return Err(TrailError::Asked(why.to_owned()));
        }
        let config = from.config.as_deref().map(|path| Config::load(Some(path))).transpose()?;
        let given: Vec<KeyFile> = person.pseudonym_key.iter().map(key_file).collect::<Result<_, _>>()?;
        let (known, issuers) =
            config.as_ref().map(|config| &config.access.people).cloned().unwrap_or_default();
        // Keys are read for who is looked for by name, and for nobody else.
        let files = match &person.user {
            None => Vec::new(),
            Some(_) if given.is_empty() => known,
            Some(_) => given,
        };
        let issuers = if person.issuer.is_empty() { issuers } else { person.issuer.clone() };
        if !person.pseudonym_key.is_empty() && issuers.is_empty() {
            let why = "`--pseudonym-key` makes pseudonyms of subjects of an `--issuer`: say which";
            return Err(TrailError::Asked(why.to_owned()));
        }
        let people = people::keys(&files)?.map(|keys| (keys, issuers));
        let path = match (&from.data, config) {
            (Some(path), _) => path.clone(),
            (None, Some(config)) => config.keep.folder,
            (None, None) => PathBuf::from(FOLDER),
        };
        Ok(Self::Folder(Box::new(Folder { store: open(&path)?, path, people })))
    }

    /// Asks what the query API has by that name: a service as `ask` says, a directory as `query` makes of it.
    pub(super) fn ask<A: Serialize, Q, T: DeserializeOwned>(
        &self,
        what: &str,
        ask: A,
        query: impl FnOnce(A, Option<&(Pseudonyms, Vec<String>)>) -> Result<Q, Problem>,
        look: impl FnOnce(&dyn Store, Q) -> Result<T, StoreError>,
    ) -> Result<T, TrailError> {
        match self {
            Self::Folder(folder) => {
                let Folder { store, path, people } = &**folder;
                let query =
                    query(ask, people.as_ref()).map_err(|wrong| TrailError::Asked(wrong.to_string()))?;
                look(store, query).map_err(|error| unreadable(path, error))
            }
            Self::Service(service) => {
                let pairs = pairs(&ask);
                let pairs: Vec<(&str, &str)> =
                    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                Ok(service.get(what, &pairs)?)
            }
        }
    }
}

/// A question as it stands in a URL.
fn pairs(ask: &impl Serialize) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(ask) else { return Vec::new() };
    let text = |value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

/// Opens a trail, to be read.
///
/// # Errors
/// [`TrailError::NoTrail`], [`TrailError::Read`].
pub(crate) fn open(path: &Path) -> Result<SqliteStore, TrailError> {
    if !path.join("catalog.sqlite").is_file() {
        return Err(TrailError::NoTrail(path.to_owned()));
    }
    // A service may be at work in there.
    let settings = StoreSettings { mends: false, ..StoreSettings::default() };
    SqliteStore::open(path, settings).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: StoreError) -> TrailError {
    TrailError::Read { path: path.to_owned(), source: Box::new(error) }
}

/// Whether a service says that there is no such thing.
pub(super) fn is_missing(error: &TrailError) -> bool {
    matches!(error, TrailError::Ask(AskError::Refused { status, .. }) if *status == http::StatusCode::NOT_FOUND)
}

/// A file of a key from `ID=FILE`.
fn key_file(text: &String) -> Result<KeyFile, TrailError> {
    let wrong = || TrailError::Asked(format!("`{text}` is not the id of a key, `=` and its file"));
    let (kid, path) = text.split_once('=').ok_or_else(wrong)?;
    Ok(KeyFile { kid: kid.to_owned(), path: path.into() })
}
