//! A small shop: services that really call each other over HTTP, with the crate `hopseal`, and each with the fault of which its module
//! tells.
//!
//! ```text
//! people --> gateway --> orders --> payments
//!               |          |  '-- queue --> mailer
//!               '--> agent -'
//! ```

mod agent;
mod database;
mod gateway;
mod mailer;
mod orders;
mod parts;
mod payments;
mod plain;

use std::net::SocketAddr;

use axum::http::StatusCode;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::error::DemoError;
use super::realm::Realm;
use super::trust::Trust;
pub(super) use agent::ID as AGENT;
use parts::Parts;
pub(super) use parts::{listen, serve};

/// The shop, open.
pub(super) struct Fleet {
    pub(super) gateway: SocketAddr,
    pub(super) payments: SocketAddr,
    /// How many mails were sent.
    pub(super) mails: watch::Receiver<u64>,
    providers: Vec<SdkTracerProvider>,
}

impl Fleet {
    /// Opens it. To be called outside of the runtime.
    pub(super) fn open(
        runtime: &Runtime,
        trust: &mut Trust,
        collector: SocketAddr,
        realm: &Realm,
    ) -> Result<Self, DemoError> {
        let ((at_gateway, gateway), (at_orders, orders)) = (listen()?, listen()?);
        let ((at_payments, payments), (at_agent, agent)) = (listen()?, listen()?);
        let (queue, messages) = mpsc::unbounded_channel();
        let (done, mails) = watch::channel(0);
        let mut parts = |service| Parts::new(service, trust, collector);
        let all =
            [parts("gateway")?, parts("orders")?, parts("payments")?, parts("agent")?, parts("mailer")?];
        let [of_gateway, of_orders, of_payments, of_agent, of_mailer] = &all;
        let _within = runtime.enter();
        serve(at_gateway, gateway::app(of_gateway, orders, agent)?)?;
        serve(at_orders, orders::app(of_orders, payments, queue)?)?;
        serve(at_payments, payments::app(of_payments)?)?;
        serve(at_agent, agent::app(of_agent, orders, payments, realm)?)?;
        runtime.spawn(mailer::run(of_mailer, messages, done)?);
        let providers = all.iter().map(Parts::provider).collect();
        Ok(Self { gateway, payments, mails, providers })
    }

    /// Sends all spans that there are. To be called where it may block.
    pub(super) fn flush(&self) -> Result<(), DemoError> {
        let flushed = self.providers.iter().try_for_each(SdkTracerProvider::force_flush);
        flushed.map_err(DemoError::call("sending spans"))
    }

    /// Closes it: nothing is sent any more. To be called outside of the runtime.
    pub(super) fn close(self) {
        for provider in self.providers {
            // All of it was sent before.
            let _ = provider.shutdown();
        }
    }
}

/// What a service is answered by another, which is to be text: for its own callers the other's fault is one of a gateway.
async fn text<E>(answer: Result<reqwest::Response, E>) -> Result<String, StatusCode> {
    let answer = answer.map_err(|_| StatusCode::BAD_GATEWAY)?;
    match answer.status() {
        status if status.is_success() => answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY),
        status if status.is_client_error() => Err(status),
        _ => Err(StatusCode::BAD_GATEWAY),
    }
}
