//! Questions as forms put them.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::frame::Wrong;
use super::period::Period;
use crate::serve::api::Problem;

/// The query of an address, without the fields of a form that were left empty.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Wrong;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Wrong> {
        let query = parts.uri.query().unwrap_or_default();
        let filled: Vec<&str> = query.split('&').filter(|pair| !is_empty(pair)).collect();
        let wrong = || Wrong(Problem::Asked("this page has no such question".to_owned()));
        let uri = format!("/?{}", filled.join("&")).parse().map_err(|_| wrong())?;
        Query::try_from_uri(&uri).map(|Query(asked)| Self(asked)).map_err(|_| wrong())
    }
}

fn is_empty(pair: &str) -> bool {
    pair.split_once('=').is_some_and(|(_, value)| value.is_empty())
}

/// A page that asks for a period alone.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeriodAsk {
    period: Option<String>,
}

impl PeriodAsk {
    pub(super) fn period(&self) -> Result<Period, Wrong> {
        period(self.period.as_deref())
    }
}

/// A period by its word.
pub(super) fn period(word: Option<&str>) -> Result<Period, Wrong> {
    let wrong = || Wrong(Problem::Asked("`period` is 1h, 24h, 7d, 30d or all".to_owned()));
    Period::parse(word).ok_or_else(wrong)
}
