//! Asking an issuer for its keys: two requests at most, a metadata document and a JWK set.

use std::sync::Arc;

use super::metadata::{Metadata, MetadataFault};
use super::settings::KeySettings;
use crate::algorithm::Algorithm;
use crate::clock::UnixTime;
use crate::http::{Address, AddressFault, Answer, Fetch, HttpFault, Reach, Request};
use crate::jose::{KeySet, KeySetError, SkippedKey};
use crate::registry::{Issuer, IssuerKind, Source};

/// Most bytes of a document.
const MAX_BYTES: usize = 1024 * 1024;

/// Why keys could not be fetched. What is at hand stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchFault {
    /// There was no answer.
    #[error("no answer")]
    Http(#[source] HttpFault),
    /// The answer was not 200. Redirects are not followed.
    #[error("status {0}")]
    Status(u16),
    /// The metadata document cannot be used.
    #[error("metadata document cannot be used")]
    Metadata(#[source] MetadataFault),
    /// The set as a whole cannot be used.
    #[error("key set cannot be used")]
    KeySet(#[source] KeySetError),
    /// Not one key of the set can be used.
    #[error("no usable key in the set")]
    NoUsableKeys,
    /// A Workload API handed out none.
    #[cfg(feature = "workload-api")]
    #[error("no keys of the Workload API")]
    WorkloadApi(#[source] crate::workload::WorkloadFault),
}

impl FetchFault {
    /// In one word of a closed set, for labels.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Http(fault) => fault.as_str(),
            Self::Status(_) => "status",
            Self::Metadata(MetadataFault::Issuer(_)) => "issuer",
            Self::Metadata(_) => "metadata",
            Self::KeySet(_) => "key_set",
            Self::NoUsableKeys => "no_usable_keys",
            #[cfg(feature = "workload-api")]
            Self::WorkloadApi(_) => "workload_api",
        }
    }
}

impl From<AddressFault> for FetchFault {
    fn from(fault: AddressFault) -> Self {
        Self::Http(HttpFault::Address(fault))
    }
}

/// What of an issuer matters for its keys.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) id: String,
    kind: IssuerKind,
    algorithms: Vec<Algorithm>,
    place: Place,
}

/// What the registry names.
#[derive(Debug, Clone)]
enum Place {
    /// The address of a metadata document.
    Metadata(Address),
    /// The address of the keys.
    Keys(Address),
    /// A Workload API.
    #[cfg(feature = "workload-api")]
    WorkloadApi(crate::workload::WorkloadApi),
}

impl Origin {
    /// `None` for an issuer whose keys are not fetched.
    pub(super) fn of(issuer: &Issuer) -> Result<Option<Self>, AddressFault> {
        let reach = if issuer.allows_loopback_http() { Reach::Loopback } else { Reach::Named };
        let place = match issuer.source() {
            Source::JwksUri(uri) => Place::Keys(Address::parse(uri, reach)?),
            #[cfg(feature = "workload-api")]
            Source::WorkloadApi(socket) => {
                Place::WorkloadApi(crate::workload::WorkloadApi::at(socket).map_err(|_| AddressFault::Shape)?)
            }
            #[cfg(not(feature = "workload-api"))]
            Source::WorkloadApi(_) => return Err(AddressFault::WorkloadApi),
            source => match Metadata::place(issuer.id(), source) {
                Some(place) => Place::Metadata(Address::parse(&place, reach)?),
                None => return Ok(None),
            },
        };
        Ok(Some(Self {
            id: issuer.id().to_owned(),
            kind: issuer.kind(),
            algorithms: issuer.algorithms().to_vec(),
            place,
        }))
    }

    /// Reads a set by the rules of the issuer.
    pub(super) fn read(&self, jwks: &[u8]) -> Result<(KeySet, Vec<SkippedKey>), FetchFault> {
        let (set, skipped) = match self.kind {
            IssuerKind::Spiffe => KeySet::from_spiffe_bundle(jwks, &self.algorithms),
            _ => KeySet::from_jwks(jwks, &self.algorithms),
        }
        .map_err(FetchFault::KeySet)?;
        if set.is_empty() { Err(FetchFault::NoUsableKeys) } else { Ok((set, skipped)) }
    }
}

/// What is known from the fetch before.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Where the keys are, and until when that is believed.
    place: Option<(Address, UnixTime)>,
    /// `ETag` of the set that is held.
    etag: Option<String>,
    /// The set that is held, as it came.
    pub(super) jwks: Option<Arc<[u8]>>,
}

impl Known {
    /// From a snapshot.
    pub(super) fn restored(jwks: &[u8]) -> Self {
        Self { jwks: Some(jwks.into()), ..Self::default() }
    }
}

/// What a fetch brought.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The set, unless it is the one that is held.
    pub(super) new: Option<(KeySet, Vec<SkippedKey>)>,
    /// For how many seconds the issuer says that it is fresh.
    pub(super) max_age: Option<u64>,
    pub(super) known: Known,
}

/// Fetches. What is known is given back to be used the next time, in part where this time failed.
pub(super) async fn fetch(
    origin: &Origin,
    client: &dyn Fetch,
    known: Known,
    now: UnixTime,
    settings: &KeySettings,
) -> Result<Fetched, (FetchFault, Known)> {
    #[cfg(feature = "workload-api")]
    if let Place::WorkloadApi(api) = &origin.place {
        return ask(origin, api, &known).await.map_err(|fault| (fault, known));
    }
    let lost = |fault| (fault, Known { place: None, ..known.clone() });
    let (place, until) = match &known.place {
        Some((place, until)) if now < *until => (place.clone(), *until),
        _ => (locate(origin, client).await.map_err(lost)?, now.plus(settings.metadata_age)),
    };
    let mut request =
        Request::get(place.clone(), MAX_BYTES).header("accept", "application/json, application/jwk-set+json");
    let etag = known.etag.as_deref().filter(|_| known.jwks.is_some());
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    let answer = client.fetch(request).await.map_err(|fault| lost(FetchFault::Http(fault)))?;
    let max_age = max_age(&answer);
    match answer.status {
        200 => {}
        // Only if it was asked whether it changed: otherwise there is nothing that it could be the same as.
        304 if etag.is_some() => {
            let known = Known { place: Some((place, until)), ..known };
            return Ok(Fetched { new: None, max_age, known });
        }
        status => return Err(lost(FetchFault::Status(status))),
    }
    let read = origin.read(&answer.body).map_err(lost)?;
    let known = Known {
        place: Some((place, until)),
        etag: answer.header("etag").filter(|etag| etag.len() <= 256).map(str::to_owned),
        jwks: Some(answer.body.as_slice().into()),
    };
    Ok(Fetched { new: Some(read), max_age, known })
}

/// Asks a Workload API, which is not asked for how long its answer is fresh.
#[cfg(feature = "workload-api")]
async fn ask(
    origin: &Origin,
    api: &crate::workload::WorkloadApi,
    known: &Known,
) -> Result<Fetched, FetchFault> {
    let jwks = api.jwt_bundle(&origin.id).await.map_err(FetchFault::WorkloadApi)?;
    if known.jwks.as_deref() == Some(jwks.as_slice()) {
        return Ok(Fetched { new: None, max_age: None, known: known.clone() });
    }
    let read = origin.read(&jwks)?;
    Ok(Fetched { new: Some(read), max_age: None, known: Known::restored(&jwks) })
}

/// Where the keys are.
async fn locate(origin: &Origin, client: &dyn Fetch) -> Result<Address, FetchFault> {
    let address = match &origin.place {
        Place::Metadata(address) => address,
        Place::Keys(address) => return Ok(address.clone()),
        // Nobody asks for that.
        #[cfg(feature = "workload-api")]
        Place::WorkloadApi(_) => return Err(AddressFault::Shape.into()),
    };
    let request = Request::get(address.clone(), MAX_BYTES).header("accept", "application/json");
    let answer = client.fetch(request).await.map_err(FetchFault::Http)?;
    if answer.status != 200 {
        return Err(FetchFault::Status(answer.status));
    }
    let metadata = Metadata::read(&answer.body, &origin.id).map_err(FetchFault::Metadata)?;
    let jwks_uri = metadata.jwks_uri.ok_or(FetchFault::Metadata(MetadataFault::NoKeys))?;
    Ok(address.named_by(&jwks_uri)?)
}

/// For how long the answer says that it is fresh (RFC 9111 section 5.2.2), less the time that it spent on its way.
fn max_age(answer: &Answer) -> Option<u64> {
    let control = answer.header("cache-control")?;
    let mut directives = control.split(',').map(|word| word.trim().to_ascii_lowercase());
    let mut age = None;
    for directive in directives.by_ref() {
        match directive.split_once('=') {
            None if directive == "no-store" || directive == "no-cache" => return Some(0),
            Some(("max-age", seconds)) => age = Some(seconds.trim_matches('"').parse::<u64>().ok()?),
            _ => {}
        }
    }
    let spent = answer.header("age").and_then(|age| age.parse::<u64>().ok()).unwrap_or(0);
    age.map(|age| age.saturating_sub(spent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_an_answer_is_fresh() {
        for (control, age, fresh) in [
            (None, None, None),
            (Some("max-age=300"), None, Some(300)),
            (Some("public, Max-Age=300, must-revalidate"), Some("100"), Some(200)),
            (Some("max-age=\"300\""), Some("400"), Some(0)),
            (Some("max-age=300, no-store"), None, Some(0)),
            (Some("no-cache"), None, Some(0)),
            (Some("max-age=-1"), None, None),
            (Some("max-age=99999999999999999999"), None, None),
            (Some("s-maxage=5"), None, None),
        ] {
            let header =
                |name: &str, value: Option<&str>| value.map(|value| (name.to_owned(), value.to_owned()));
            let headers = header("cache-control", control).into_iter().chain(header("age", age)).collect();
            let answer = Answer { status: 200, headers, body: Default::default() };
            assert_eq!(max_age(&answer), fresh, "{control:?} {age:?}");
        }
    }
}
