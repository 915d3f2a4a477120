//! The layer for clients, for `reqwest`.

use std::sync::Arc;

use http::Extensions;
use opentelemetry::trace::{FutureExt as _, SpanKind};
use reqwest::redirect::Policy;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};

use super::destination::Destination;
use super::rule::EgressRules;
use super::sender::{Sender, settings};
use crate::tower::span;

/// Most redirects that are followed, as `reqwest` itself has it.
const MAX_REDIRECTS: usize = 10;

/// What [`EgressLayer`](super::EgressLayer) does, for `reqwest`. It goes nearest to the client, after all others.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use hopseal::egress::{EgressMiddleware, EgressRules, Rule};
/// let rules = EgressRules::new([Rule::to("https://payments.example.com")])?;
/// let client = EgressMiddleware::new(rules, "orders").client(reqwest::Client::builder())?;
/// client.post("https://payments.example.com/charge").send().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct EgressMiddleware {
    sender: Arc<Sender>,
}

impl EgressMiddleware {
    /// For the workload of that SPIFFE ID or `service.name`.
    #[must_use]
    pub fn new(rules: EgressRules, workload: impl Into<String>) -> Self {
        Self { sender: Arc::new(Sender::new(rules, workload.into())) }
    }

    settings!();

    /// A client with this and nothing else, which does not follow redirects to another scheme, host or port: `reqwest` follows them by
    /// itself, with all headers but the few that it knows.
    ///
    /// # Errors
    /// Those of `reqwest`.
    pub fn client(self, builder: reqwest::ClientBuilder) -> reqwest::Result<ClientWithMiddleware> {
        let client = builder.redirect(Self::redirects()).build()?;
        Ok(ClientBuilder::new(client).with(self).build())
    }

    /// The rule for redirects of [`client`](Self::client), for clients that are built otherwise.
    #[must_use]
    pub fn redirects() -> Policy {
        Policy::custom(|attempt| {
            let origin = |url: &reqwest::Url| url.origin();
            let same = attempt.previous().first().is_some_and(|first| origin(first) == origin(attempt.url()));
            match same && attempt.previous().len() <= MAX_REDIRECTS {
                true => attempt.follow(),
                false => attempt.stop(),
            }
        })
    }
}

#[async_trait::async_trait]
impl Middleware for EgressMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let uri = request.url().as_str().parse::<http::Uri>().unwrap_or_default();
        let there = Destination::of(&uri);
        let current = crate::otel::current();
        let exit = self.sender.spans.as_ref().map(|spans| {
            let to = there.as_ref().map(|there| (there.host.as_str(), there.port));
            spans.start(span::exit(request.method(), &uri, request.headers(), to), &current, &current)
        });
        let cx = exit.as_ref().unwrap_or(&current);
        let prepared = self.sender.prepare(cx, there.as_ref(), request.headers_mut()).await;
        prepared.map_err(Error::middleware)?;
        let call = next.run(request, extensions);
        let result = match &exit {
            Some(exit) => call.with_context(exit.clone()).await,
            None => call.await,
        };
        if let (Some(exit), Ok(response)) = (&exit, &result) {
            span::end(exit, &SpanKind::Client, response.status(), response.headers());
        }
        result
    }
}
