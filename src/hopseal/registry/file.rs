//! A registry as it is written in YAML. The comments of this page are the manual.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::error::{Place, RegistryError};
use super::issuer::{Claims, Issuer, IssuerKind};
use super::policy::{EventFeed, IntrospectionNumbers, KeyNumbers, SealerEntry, no_time, seconds};
use super::rules::IssuerBuilder;
use crate::algorithm::Algorithm;
use crate::principal::Credential;
use crate::secret::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// How keys are fetched and kept.
    #[serde(default)]
    keys: KeyNumbers,
    /// How issuers are asked about tokens.
    #[serde(default)]
    introspection: IntrospectionNumbers,
    issuers: Vec<Entry>,
}

/// One issuer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// How we call it.
    name: At<String>,
    /// What sort it is.
    kind: IssuerKind,
    /// `iss` to the letter, or the name of the trust domain.
    issuer: At<String>,
    /// The address of its keys.
    jwks_uri: Option<At<String>>,
    /// The socket of the SPIFFE Workload API that hands out its keys.
    workload_api: Option<At<String>>,
    /// Its keys as a JWK set in JSON.
    jwks: Option<At<Secret>>,
    /// The same in a file of its own, as tools that renew a bundle write it.
    jwks_file: Option<At<String>>,
    /// Its keys as PASERK.
    paserk: Option<At<Vec<Secret>>>,
    /// The same in a file of its own, one a line.
    paserk_file: Option<At<String>>,
    /// Where to ask about tokens, as which client.
    endpoint: Option<At<String>>,
    client_id: Option<At<String>>,
    client_secret: Option<At<Secret>>,
    /// The same in a file of its own.
    client_secret_file: Option<At<String>>,
    /// The kinds of credential that are accepted: `access_token`, `id_token`.
    tokens: Option<At<Vec<Word>>>,
    /// The audiences that are ours.
    audiences: Option<At<Vec<String>>>,
    /// The algorithms that it is trusted with.
    algorithms: Option<At<Vec<String>>>,
    /// The types that its access tokens may have: `at+jwt`, `JWT`.
    typ: Option<At<Vec<String>>>,
    /// For how long its credentials may be valid: `90s`, `15m`, `8h`.
    max_lifetime: Option<At<String>>,
    /// How far its clock and ours may be apart.
    skew: Option<At<String>>,
    /// Which claim says what.
    claims: Option<ClaimsFile>,
    /// The security events and logouts that it sends.
    feed: Option<At<EventFeed>>,
    /// The services that may seal, and what.
    sealers: Option<At<Vec<SealerEntry>>>,
    /// Allows plain `http` to this machine itself.
    #[serde(default)]
    loopback_http: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    AccessToken,
    IdToken,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ClaimsFile {
    id: Option<String>,
    tenant: Option<String>,
    roles: Option<String>,
    scopes: Option<String>,
    session: Option<String>,
    client: Option<String>,
    actors: Option<String>,
    kind: Option<String>,
}

impl From<ClaimsFile> for Claims {
    fn from(file: ClaimsFile) -> Self {
        let default = Self::default();
        Self {
            id: file.id.unwrap_or(default.id),
            tenant: file.tenant,
            roles: file.roles,
            scopes: file.scopes.unwrap_or(default.scopes),
            session: file.session.unwrap_or(default.session),
            client: file.client,
            actors: file.actors.unwrap_or(default.actors),
            kind: file.kind,
        }
    }
}

/// A value and where it stands.
struct At<T> {
    value: T,
    place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        let place = Place { line: spanned.referenced.line(), column: spanned.referenced.column() };
        Ok(Self { value: spanned.value, place })
    }
}

/// Where the fields of an entry stand.
#[derive(Default)]
struct Places(BTreeMap<&'static str, Place>);

impl Places {
    fn take<T>(&mut self, field: &'static str, at: Option<At<T>>) -> Option<T> {
        at.map(|at| {
            self.0.insert(field, at.place);
            at.value
        })
    }
}

/// An issuer, and where its name and its id stand.
type Placed = (Issuer, Option<(Place, Place)>);

/// What a file says.
pub(super) struct Read {
    pub(super) issuers: Vec<Placed>,
    pub(super) keys: KeyNumbers,
    pub(super) introspection: IntrospectionNumbers,
}

/// Reads a file that a registry names, or says why not.
pub(super) type Beside<'b> = &'b mut dyn FnMut(&str) -> Result<Secret, String>;

pub(super) fn read(text: &str, beside: Beside<'_>) -> Result<Read, RegistryError> {
    let File { keys, introspection, issuers } = serde_saphyr::from_str(text)?;
    let issuers: Result<Vec<Placed>, RegistryError> =
        issuers.into_iter().map(|entry| issuer(entry, beside)).collect();
    Ok(Read { issuers: issuers?, keys, introspection })
}

/// What stands in the registry, or in the file that it names instead, which is read as `of_file` says.
fn given<T>(
    places: &mut Places,
    (field, written): (&'static str, Option<At<T>>),
    (field_of_file, file): (&'static str, Option<At<String>>),
    beside: Beside<'_>,
    of_file: impl FnOnce(Secret) -> T,
) -> Result<Option<T>, (&'static str, String)> {
    let (written, file) = (places.take(field, written), places.take(field_of_file, file));
    match (written, file) {
        (Some(_), Some(_)) => Err((field_of_file, format!("either that or `{field}`"))),
        (None, Some(name)) => {
            let read = beside(&name).map_err(|reason| (field_of_file, reason))?;
            // What is wrong with it is wrong there.
            places.0.extend(places.0.get(field_of_file).copied().map(|place| (field, place)));
            Ok(Some(of_file(read)))
        }
        (written, None) => Ok(written),
    }
}

fn issuer(entry: Entry, beside: Beside<'_>) -> Result<Placed, RegistryError> {
    let mut places = Places::default();
    let start = entry.name.place;
    let name = places.take("name", Some(entry.name)).unwrap_or_default();
    let id = places.take("issuer", Some(entry.issuer)).unwrap_or_default();
    let mut builder = IssuerBuilder::new(entry.kind, name.clone(), id);
    builder.jwks_uri = places.take("jwks_uri", entry.jwks_uri);
    builder.workload_api = places.take("workload_api", entry.workload_api);
    let fault = |places: &Places, field: &'static str, reason: String| RegistryError::Value {
        at: places.0.get(field).copied(),
        issuer: name.clone(),
        field,
        reason,
    };
    let (written, file) = (("jwks", entry.jwks), ("jwks_file", entry.jwks_file));
    let jwks = given(&mut places, written, file, beside, |text| text);
    builder.jwks = jwks.map_err(|(field, reason)| fault(&places, field, reason))?;
    let written = ("client_secret", entry.client_secret);
    let file = ("client_secret_file", entry.client_secret_file);
    let secret = given(&mut places, written, file, beside, |text| text);
    builder.client_secret = secret
        .map_err(|(field, reason)| fault(&places, field, reason))?
        .map(|secret| Secret::new(secret.expose().trim_end_matches(['\r', '\n'])));
    let (written, file) = (("paserk", entry.paserk), ("paserk_file", entry.paserk_file));
    let paserk = given(&mut places, written, file, beside, |lines| {
        lines.expose().split_whitespace().map(Secret::new).collect()
    });
    builder.paserk = paserk.map_err(|(field, reason)| fault(&places, field, reason))?.unwrap_or_default();
    builder.endpoint = places.take("endpoint", entry.endpoint);
    builder.client_id = places.take("client_id", entry.client_id);
    builder.tokens = places.take("tokens", entry.tokens).map(|words| {
        let credential = |word| match word {
            Word::AccessToken => Credential::AccessToken,
            Word::IdToken => Credential::IdToken,
        };
        words.into_iter().map(credential).collect()
    });
    builder.audiences = places.take("audiences", entry.audiences).unwrap_or_default();
    builder.types = places.take("typ", entry.typ);
    builder.claims = entry.claims.unwrap_or_default().into();
    builder.feed = places.take("feed", entry.feed);
    builder.sealers = places.take("sealers", entry.sealers).unwrap_or_default();
    builder.loopback_http = entry.loopback_http;

    for word in places.take("algorithms", entry.algorithms).unwrap_or_default() {
        let Some(algorithm) = Algorithm::parse(&word) else {
            return Err(fault(&places, "algorithms", format!("`{word}` is not supported")));
        };
        builder.algorithms.push(algorithm);
    }
    for (field, written, slot) in [
        ("max_lifetime", entry.max_lifetime, &mut builder.max_lifetime),
        ("skew", entry.skew, &mut builder.skew),
    ] {
        if let Some(text) = places.take(field, written) {
            let Some(seconds) = seconds(&text) else {
                return Err(fault(&places, field, no_time(&text)));
            };
            *slot = Some(seconds);
        }
    }
    let issuer = builder.build_at(|field| Some(places.0.get(field).copied().unwrap_or(start)))?;
    let id = places.0.get("issuer").copied().unwrap_or(start);
    Ok((issuer, Some((start, id))))
}
