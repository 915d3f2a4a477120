//! `orders`: has each order paid for, keeps it, and has a mail sent about it.
//!
//! Its fault: for receipts it makes a client of its own, past the one through which identities leave.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use hopseal::egress::Rule;
use hopseal::messaging::Producer;
use opentelemetry::global::BoxedTracer;
use reqwest_middleware::ClientWithMiddleware;
use tokio::sync::mpsc::UnboundedSender;

use super::database::Database;
use super::mailer::{Message, TOPIC};
use super::parts::Parts;
use super::{plain, text};
use crate::demo::error::DemoError;

struct Orders {
    client: ClientWithMiddleware,
    tracer: BoxedTracer,
    database: Database,
    producer: Producer,
    queue: UnboundedSender<Message>,
    payments: SocketAddr,
}

/// The service, with the one that it calls, and the queue that it puts messages into.
pub(super) fn app(
    parts: &Parts,
    payments: SocketAddr,
    queue: UnboundedSender<Message>,
) -> Result<Router, DemoError> {
    let orders = Orders {
        client: parts.client([Rule::to(format!("http://{payments}"))])?,
        tracer: parts.tracer(),
        database: Database::new("orders", parts.tracer())?,
        producer: Producer::new(parts.workload(), parts.tracer()).allow([TOPIC]),
        queue,
        payments,
    };
    Ok(Router::new()
        .route("/orders/{number}", get(look).post(place))
        .route("/orders/{number}/receipt", get(receipt))
        .with_state(Arc::new(orders))
        .layer(parts.layer()))
}

impl Orders {
    fn charge(&self, number: &str) -> String {
        format!("http://{}/charges/{number}", self.payments)
    }
}

async fn place(State(orders): State<Arc<Orders>>, Path(number): Path<String>) -> Result<String, StatusCode> {
    text(orders.client.post(orders.charge(&number)).send().await).await?;
    orders.database.insert(&number, "placed")?;
    let mut message = Message { number, ..Message::default() };
    orders.producer.inject(TOPIC, &mut message.headers);
    orders.queue.send(message).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok("placed".to_owned())
}

async fn look(State(orders): State<Arc<Orders>>, Path(number): Path<String>) -> Result<String, StatusCode> {
    let order = orders.database.find(&number)?;
    let charge = text(orders.client.get(orders.charge(&number)).send().await).await?;
    Ok(format!("{order}, {charge}"))
}

async fn receipt(
    State(orders): State<Arc<Orders>>,
    Path(number): Path<String>,
) -> Result<String, StatusCode> {
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    plain::get(&client, &orders.tracer, orders.charge(&number)).await
}
