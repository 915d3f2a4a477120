//! `payments`: charges, and pays back.
//!
//! Its faults: nobody has set its layer to `require()`, so that a request without a credential is let in as anonymous, and one with
//! an identity that nobody vouches for as asserted; and refunds do not ask who wants them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::database::Database;
use super::parts::Parts;
use crate::demo::error::DemoError;

/// The service.
pub(super) fn app(parts: &Parts) -> Result<Router, DemoError> {
    let database = Database::new("charges", parts.tracer())?;
    Ok(Router::new()
        .route("/charges/{number}", get(look).post(charge))
        .route("/refunds/{number}", post(refund))
        .with_state(Arc::new(database))
        .layer(parts.layer()))
}

async fn charge(State(charges): State<Arc<Database>>, Path(number): Path<String>) -> Result<(), StatusCode> {
    charges.insert(&number, "charged")
}

async fn look(
    State(charges): State<Arc<Database>>,
    Path(number): Path<String>,
) -> Result<String, StatusCode> {
    charges.find(&number)
}

async fn refund(State(charges): State<Arc<Database>>, Path(number): Path<String>) -> Result<(), StatusCode> {
    charges.insert(&number, "paid back")
}
