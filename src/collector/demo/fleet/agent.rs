//! `agent`: answers questions of people, with two tools. For one it exchanges the token of whoever asks for one that says that it acts
//! for them.
//!
//! Its fault is in the other: the client of that tool is made when it is first needed, with the token of whoever asked then, and
//! kept.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use hopseal::Secret;
use hopseal::egress::{Exchanged, Rule};
use hopseal::http::{Http, HttpSettings, Reach};
use hopseal::outgoing::{Client, Credentials, TokenEndpoint, Want};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{FutureExt as _, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use reqwest_middleware::ClientWithMiddleware;
use tokio::sync::OnceCell;

use super::parts::Parts;
use super::{plain, text};
use crate::demo::error::DemoError;
use crate::demo::realm::{Kind, Realm};

/// What it is called at the authority.
pub(in crate::demo) const ID: &str = "concierge";

struct Agent {
    client: ClientWithMiddleware,
    /// That of the tool that asks about charges.
    kept: OnceCell<reqwest::Client>,
    tracer: BoxedTracer,
    orders: SocketAddr,
    payments: SocketAddr,
}

/// The service, with those that its tools call, and the realm where it exchanges tokens.
pub(super) fn app(
    parts: &Parts,
    orders: SocketAddr,
    payments: SocketAddr,
    realm: &Realm,
) -> Result<Router, DemoError> {
    let http = Http::new(&HttpSettings::default()).map_err(DemoError::set_up("a client for tokens"))?;
    let itself = Client::with_secret(ID, Secret::new(&realm.secret));
    let server = TokenEndpoint::new("staff", &realm.tokens, Reach::Loopback, itself, http)
        .map_err(DemoError::set_up("the token endpoint"))?;
    let itself = Credentials::of_client(server.clone(), Want::default());
    let mut exchanged = Exchanged::new(server, Want::default());
    // Keycloak says in no token who acts for somebody.
    if realm.kind == Kind::Ours {
        exchanged = exchanged.acting(itself);
    }
    let agent = Agent {
        client: parts.client([Rule::to(format!("http://{orders}")).token(exchanged)])?,
        kept: OnceCell::new(),
        tracer: parts.tracer(),
        orders,
        payments,
    };
    Ok(Router::new()
        .route("/ask/{question}/{number}", post(ask))
        .with_state(Arc::new(agent))
        .layer(parts.layer().require().keep_token()))
}

async fn ask(
    State(agent): State<Arc<Agent>>,
    Path((question, number)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let answer = async {
        match question.as_str() {
            "order" => agent.tool("get_order", agent.order(&number)).await,
            "charge" => agent.tool("get_charge", agent.charge(&number, &headers)).await,
            _ => Err(StatusCode::NOT_FOUND),
        }
    };
    agent.told("invoke_agent", "gen_ai.agent.name", ID, answer).await
}

impl Agent {
    async fn tool(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<String, StatusCode>>,
    ) -> Result<String, StatusCode> {
        self.told("execute_tool", "gen_ai.tool.name", name, work).await
    }

    /// Works in a span after the conventions for agents.
    async fn told<T>(
        &self,
        operation: &'static str,
        named: &'static str,
        name: &'static str,
        work: impl Future<Output = T>,
    ) -> T {
        let builder = self
            .tracer
            .span_builder(format!("{operation} {name}"))
            .with_attributes([KeyValue::new("gen_ai.operation.name", operation), KeyValue::new(named, name)]);
        let current = Context::current();
        let cx = current.with_span(self.tracer.build_with_context(builder, &current));
        let done = work.with_context(cx.clone()).await;
        cx.span().end();
        done
    }

    async fn order(&self, number: &str) -> Result<String, StatusCode> {
        text(self.client.get(format!("http://{}/orders/{number}", self.orders)).send().await).await
    }

    async fn charge(&self, number: &str, headers: &HeaderMap) -> Result<String, StatusCode> {
        let make = || async {
            let token = headers.get(header::AUTHORIZATION).cloned().ok_or(StatusCode::UNAUTHORIZED)?;
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, token)]);
            let client = reqwest::Client::builder().no_proxy().default_headers(headers).build();
            client.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
        };
        let client = self.kept.get_or_try_init(make).await?;
        plain::get(client, &self.tracer, format!("http://{}/charges/{number}", self.payments)).await
    }
}
