//! Answers: JSON with a tag that changes when it does, or a problem.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::output::trail::ProblemShape;
use crate::serve::store::StoreError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The question cannot be understood.
    #[error("{0}")]
    Asked(String),
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// It could not be answered.
    #[error("it could not be answered")]
    Failed,
    /// Whoever asks is known, and may not.
    #[error("you may not ask that: it takes another role")]
    Forbidden,
    /// A form of ours that a page of somebody else had sent.
    #[error("this was sent by a page of another site")]
    OtherSite,
    /// Whoever asks is not let in.
    #[error("{1}")]
    Refused(StatusCode, String),
    /// It was asked for under a name that is not of this machine.
    #[error("this is had on this machine alone, as localhost; `access.required` is for more")]
    OtherName,
}

impl From<StoreError> for Problem {
    fn from(_: StoreError) -> Self {
        // What exactly failed is for the operator, not for who asks.
        Self::Failed
    }
}

impl From<serde_json::Error> for Problem {
    fn from(_: serde_json::Error) -> Self {
        Self::Failed
    }
}

impl Problem {
    /// What HTTP calls it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Asked(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Forbidden | Self::OtherSite => StatusCode::FORBIDDEN,
            Self::Refused(status, _) => *status,
            Self::OtherName => StatusCode::MISDIRECTED_REQUEST,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status(), axum::Json(ProblemShape { error: self.to_string() })).into_response()
    }
}

/// What is asked for behind the `?` of an address. What is wrong with it is a [`Problem`].
pub(crate) struct Asking<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asking<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let asked = Query::try_from_uri(&parts.uri).map_err(|wrong| Problem::Asked(wrong.body_text()))?;
        Ok(Self(asked.0))
    }
}

impl From<PathRejection> for Problem {
    fn from(wrong: PathRejection) -> Self {
        Self::Refused(wrong.status(), wrong.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(wrong: JsonRejection) -> Self {
        Self::Refused(wrong.status(), wrong.body_text())
    }
}

/// An answer, or that it is the one the client has already.
pub(crate) fn json<T: Serialize>(asked: &HeaderMap, shape: &T) -> Result<Response, Problem> {
    let body = serde_json::to_vec(shape)?;
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    let is_known = known.any(|known| known == "*" || known.trim_start_matches("W/") == tag);
    let tag = HeaderValue::try_from(tag).map_err(|_| Problem::Failed)?;
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let kind = HeaderValue::from_static("application/json");
    let private = HeaderValue::from_static("private, no-cache");
    Ok(([(header::CONTENT_TYPE, kind), (header::ETAG, tag), (header::CACHE_CONTROL, private)], body)
        .into_response())
}
