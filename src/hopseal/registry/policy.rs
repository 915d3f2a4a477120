//! What a registry says besides who is trusted: numbers of the policy, feeds of events, who may seal.

use std::time::Duration;

use hopseal_identity::Kind;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Numbers of the policy for keys (`keys:`). What is left out has the default of `keys::KeySettings`, which says what each is. Times
/// are in seconds; in YAML they are written `90s`, `15m`, `8h`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is that of `KeySettings`")]
pub struct KeyNumbers {
    #[serde(deserialize_with = "time")]
    pub soft_age: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub soft_age_least: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub soft_age_most: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub max_stale: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub metadata_age: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub unknown_kid_cooldown: Option<u64>,
    pub unknown_kid_burst: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub unknown_kid_memory: Option<u64>,
    pub unknown_kid_when_down: Option<WhenDown>,
    #[serde(deserialize_with = "time")]
    pub retry_least: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub retry_most: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub wait: Option<u64>,
    pub refresh: Option<Refresh>,
}

/// What is said of a key that is not known when its provider does not answer: `undecided` or `refuse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenDown {
    /// That nothing can be said: it may be a new key, and its owner should try again (503).
    Undecided,
    /// That it is not known (401).
    Refuse,
}

/// Who refreshes keys that are past their soft age: `background`, or `{inline: 2s}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// A task of the runtime, while requests go on with the keys at hand.
    Background,
    /// The request that finds them so, as where nothing runs between requests (serverless). It waits this long at most and
    /// then goes on with the keys at hand.
    #[serde(deserialize_with = "duration")]
    Inline(Duration),
}

/// Numbers of the policy for asking about tokens (`introspection:`), likewise for `introspection::IntrospectionSettings`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is that of `IntrospectionSettings`")]
pub struct IntrospectionNumbers {
    #[serde(deserialize_with = "time")]
    pub ttl: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub bad_ttl: Option<u64>,
    pub capacity: Option<usize>,
    pub at_once: Option<usize>,
    #[serde(deserialize_with = "time")]
    pub wait: Option<u64>,
    pub patience: Option<u32>,
    #[serde(deserialize_with = "time")]
    pub pause: Option<u64>,
}

/// The feed of security events and logouts that an issuer sends (`feed:`): what is withdrawn before its time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFeed {
    /// As whom the issuer knows us: one of these is the `aud` of its events.
    pub audiences: Vec<String>,
    /// The issuers, by their names in the registry, whose subjects its events may be about too.
    #[serde(default)]
    pub speaks_for: Vec<String>,
    /// For how many seconds nothing may be heard of it before it is behind. Default an hour.
    #[serde(default, deserialize_with = "time")]
    pub quiet: Option<u64>,
}

/// A service that may seal (`sealers:` of an issuer of the kind `seal`), and what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealerEntry {
    /// Its name: what its key ids are, or begin with before a `.`.
    pub name: String,
    /// The id of its workload.
    pub workload: String,
    /// The issuers, by their names in the registry, whose identities it may seal once it validated them. None if left out.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// In these tenants alone. In any if left out.
    #[serde(default)]
    pub tenants: Option<Vec<String>>,
    /// Of these kinds alone. Of all if left out.
    #[serde(default, deserialize_with = "kinds")]
    pub kinds: Option<Vec<Kind>>,
    /// It may make seals from seals, within these bounds.
    #[serde(default)]
    pub reseals: Option<Reseals>,
}

/// Bounds of a re-sealer. What is left out has the default of `seal::MayReseal`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reseals {
    /// How often an identity may be re-sealed after it was sealed.
    pub max_count: Option<u8>,
    /// Seconds from the first seal after which it may not be any more.
    #[serde(deserialize_with = "time")]
    pub max_age: Option<u64>,
    /// Seconds after its end for which a seal may still be re-sealed.
    #[serde(deserialize_with = "time")]
    pub max_wait: Option<u64>,
}

impl SealerEntry {
    /// What is wrong with it, by itself.
    pub(super) fn fault(&self) -> Option<String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
        if !(1..=32).contains(&self.name.len()) || !self.name.bytes().all(legal) {
            return Some(format!("`{}`: 1 to 32 letters, digits or `-_~`", self.name));
        }
        if self.issuers.is_empty() && (self.tenants.is_some() || self.kinds.is_some()) {
            return Some(format!("`{}`: `tenants` and `kinds` go with `issuers`", self.name));
        }
        (self.issuers.is_empty() && self.reseals.is_none())
            .then(|| format!("`{}` may do nothing: name `issuers`, or `reseals`", self.name))
    }
}

/// Reads `90s`, `15m` or `8h`.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = [("s", 1), ("m", 60), ("h", 3600)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let digits = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(unit)
}

/// What is said of a text that is no time.
pub(super) fn no_time(text: &str) -> String {
    format!("`{text}` is no time; write `90s`, `15m` or `8h`")
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    seconds(&text).map(Some).ok_or_else(|| D::Error::custom(no_time(&text)))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    time(deserializer).map(|seconds| Duration::from_secs(seconds.unwrap_or_default()))
}

fn kinds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Kind>>, D::Error> {
    let kind = |word: &String| {
        let none = || D::Error::custom(format!("`{word}` is none of `user`, `service`, `agent`"));
        Kind::parse(word).ok_or_else(none)
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(kind).collect::<Result<_, _>>().map(Some)
}
