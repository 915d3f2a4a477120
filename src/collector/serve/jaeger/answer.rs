//! Answers as Jaeger wraps them, and errors too.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::v3;
use crate::output::jaeger::{AnswerShape, ErrorShape};
use crate::serve::api::{Problem, json};

/// Why there is no answer, as Jaeger says it, if the path is one of Jaeger's.
pub(crate) fn wrong(path: &str, problem: Problem) -> Result<Response, Problem> {
    match path.strip_prefix("/api/").and_then(|rest| rest.split('/').next()) {
        Some("v3") => Ok(v3::Wrong(problem).into_response()),
        Some("services" | "operations" | "traces" | "dependencies") => Ok(Wrong(problem).into_response()),
        _ => Err(problem),
    }
}

/// Why there is no answer, as Jaeger says it.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) Problem);

impl<E: Into<Problem>> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let status = self.0.status();
        let msg = match self.0 {
            Problem::NotFound => "trace not found".to_owned(),
            problem => problem.to_string(),
        };
        let errors = Some(vec![ErrorShape { code: Some(status.as_u16()), msg, trace_id: None }]);
        let shape = AnswerShape::<()> { data: None, total: 0, limit: 0, offset: 0, errors };
        (status, axum::Json(shape)).into_response()
    }
}

/// Some things, and what is wrong all the same.
pub(super) fn data<T: Serialize>(
    asked: &HeaderMap,
    data: Vec<T>,
    errors: Vec<ErrorShape>,
) -> Result<Response, Wrong> {
    let errors = (!errors.is_empty()).then_some(errors);
    Ok(json(asked, &AnswerShape { data: Some(data), total: 0, limit: 0, offset: 0, errors })?)
}

/// Some things, and how many.
pub(super) fn listed<T: Serialize>(asked: &HeaderMap, data: Vec<T>) -> Result<Response, Wrong> {
    let total = data.len();
    Ok(json(asked, &AnswerShape { data: Some(data), total, limit: 0, offset: 0, errors: None })?)
}
