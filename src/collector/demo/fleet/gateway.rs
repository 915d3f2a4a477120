//! `gateway`: the only service that people reach. It validates their tokens, takes nothing else from outside, and sends on what is
//! asked for.
//!
//! Its fault: so that it need not validate the same token again and again, it remembers those that were good, and never looks
//! at the clock again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use hopseal::axum::Verified;
use hopseal::egress::Rule;
use hopseal::tower::{Presented, Validate};
use hopseal::{Fingerprint, Undecided, UnixTime, Validated};
use reqwest_middleware::ClientWithMiddleware;

use super::parts::Parts;
use super::text;
use crate::demo::error::DemoError;

/// Tokens that were good once.
struct Remembering<V> {
    validator: V,
    good: Mutex<HashMap<Fingerprint, Validated>>,
}

impl<V: Validate> Validate for Remembering<V> {
    async fn validate(&self, presented: &Presented, now: UnixTime) -> Result<Validated, Undecided> {
        let token = presented.token().fingerprint();
        let known = self.good.lock().unwrap_or_else(PoisonError::into_inner).get(&token).cloned();
        if let Some(good) = known {
            return Ok(good);
        }
        let found = self.validator.validate(presented, now).await?;
        if found.verified().is_some() {
            self.good.lock().unwrap_or_else(PoisonError::into_inner).insert(token, found.clone());
        }
        Ok(found)
    }
}

#[derive(Clone)]
struct Gateway {
    client: ClientWithMiddleware,
    orders: SocketAddr,
    agent: SocketAddr,
}

/// The service, with those that it calls. The agent gets the token too, since it has to exchange it.
pub(super) fn app(parts: &Parts, orders: SocketAddr, agent: SocketAddr) -> Result<Router, DemoError> {
    let rules = [Rule::to(format!("http://{orders}")), Rule::to(format!("http://{agent}")).forward_token()];
    let gateway = Gateway { client: parts.client(rules)?, orders, agent };
    let validator = Remembering { validator: Arc::clone(&parts.validator), good: Mutex::default() };
    let layer = parts.layer_with(validator).require().edge(&["user.id"]).keep_token();
    Ok(Router::new()
        .route("/account", get(account))
        .route("/orders/{number}", get(look).post(place))
        .route("/orders/{number}/receipt", get(receipt))
        .route("/ask/{question}/{number}", post(ask))
        .with_state(gateway)
        .layer(layer))
}

async fn account(caller: Verified) -> String {
    format!("the account of {}", caller.principal().id)
}

async fn look(State(gateway): State<Gateway>, Path(number): Path<String>) -> Result<String, StatusCode> {
    let Gateway { client, orders, .. } = gateway;
    text(client.get(format!("http://{orders}/orders/{number}")).send().await).await
}

async fn place(State(gateway): State<Gateway>, Path(number): Path<String>) -> Result<String, StatusCode> {
    let Gateway { client, orders, .. } = gateway;
    text(client.post(format!("http://{orders}/orders/{number}")).send().await).await
}

async fn receipt(State(gateway): State<Gateway>, Path(number): Path<String>) -> Result<String, StatusCode> {
    let Gateway { client, orders, .. } = gateway;
    text(client.get(format!("http://{orders}/orders/{number}/receipt")).send().await).await
}

async fn ask(
    State(gateway): State<Gateway>,
    Path((question, number)): Path<(String, String)>,
) -> Result<String, StatusCode> {
    let Gateway { client, agent, .. } = gateway;
    text(client.post(format!("http://{agent}/ask/{question}/{number}")).send().await).await
}
