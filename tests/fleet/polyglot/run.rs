//! All of them, started; and one request after the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use tempfile::TempDir;

use super::functions;
use super::processes::{self, Running};
use super::receiver::{Receiver, Spans};
use super::services::{self, Late, Parts};
use super::sink::Sink;
use super::trust::Trust;
use super::wire::Wires;
use crate::provider::Provider;

/// Ours, but for `receipts`, which is a process of its own.
pub(crate) const OURS: [&str; 6] = ["gateway", "stock", "ledger", "packing", "dispatch", "mailer"];
/// Where an enemy may sit: on the wire to one of these.
pub(crate) const WIRES: [&str; 9] =
    ["catalog", "stock", "billing", "ledger", "warehouse", "packing", "dispatch", "mailer", "receipts"];
/// All that a request passes, in this order.
pub(crate) const ALL: [&str; 12] = [
    "edge",
    "gateway",
    "catalog",
    "pricing",
    "stock",
    "billing",
    "ledger",
    "warehouse",
    "packing",
    "dispatch",
    "mailer",
    "receipts",
];

pub(crate) struct Fleet {
    pub(crate) trust: Trust,
    pub(crate) wires: Wires,
    pub(crate) clock: Late,
    pub(crate) sink: Sink,
    pub(crate) edge: SocketAddr,
    pub(crate) gateway: SocketAddr,
    /// Those of a person, for us; those of a service, for somebody else.
    pub(crate) token: String,
    pub(crate) other_token: String,
    parts: Vec<Parts>,
    receiver: Receiver,
    client: reqwest::Client,
    /// How many spans of each service a request makes that goes all the way.
    whole: BTreeMap<String, usize>,
    _running: Vec<Running>,
    _provider: Provider,
    _folder: TempDir,
}

/// One request, to its end.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) status: u16,
    pub(crate) spans: Spans,
    /// What strangers got.
    pub(crate) leaked: Vec<String>,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::with_prefix("hopseal-fleet-").unwrap();
        let at = folder.path();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let provider = Provider::start().await;
        let issuer = provider.id.clone();
        let (grant, refresh) = ("refresh_token", provider.refresh_token().await);
        let resource = ("resource", "urn:test:es256");
        let person = provider.granted(&[("grant_type", grant), (grant, &refresh), resource]).await;
        let other_token = provider.token("rs256").await;

        let trust = Trust::new(&issuer);
        let (receiver, spans) = Receiver::start().await;
        let (sink, stranger) = Sink::start().await;
        let (wires, clock) = (Wires::new(&WIRES), Late::default());
        let parts: Vec<Parts> = OURS.iter().map(|name| Parts::new(name, &trust, &clock, stranger)).collect();
        let [of_gateway, of_stock, of_ledger, of_packing, of_dispatch, of_mailer] = &parts[..] else {
            panic!("one for each name")
        };

        // From the end, since each is told where the next is.
        let (functions_at, functions) = services::port().await;
        functions::start(functions_at);
        let receipts = processes::receipts(at, functions, spans, trust.published());
        let ((nats, nats_at), (kafka, kafka_at)) = (processes::nats(at), processes::kafka(at));
        let connection = async_nats::connect(nats_at.to_string()).await.unwrap();
        services::mailer(of_mailer, kafka_at, functions, &wires).await;
        services::dispatch(of_dispatch, &connection, kafka_at, &wires).await;
        services::eavesdrop(&connection, &sink).await;
        let (packing, packing_at) = services::port().await;
        services::packing(of_packing, packing, &connection, &wires);
        let (warehouse, warehouse_at) = processes::warehouse(at, packing_at, spans);
        let (ledger, ledger_at) = services::port().await;
        services::ledger(of_ledger, ledger, warehouse_at, &wires);
        let (billing, billing_at) = processes::billing(at, ledger_at, spans);
        let (stock, stock_at) = services::port().await;
        services::stock(of_stock, stock, billing_at, &wires);
        let (pricing, pricing_at) = processes::pricing(at, stock_at, spans);
        let (catalog, catalog_at) = processes::catalog(at, pricing_at, spans);
        let (gateway, gateway_at) = services::port().await;
        services::gateway(of_gateway, gateway, catalog_at, &wires);
        let (edge, edge_at) = processes::edge(at, &issuer, gateway_at, spans);

        let running = vec![receipts, nats, kafka, warehouse, billing, pricing, catalog, edge];
        let mut fleet = Self {
            trust,
            wires,
            clock,
            sink,
            edge: edge_at,
            gateway: gateway_at,
            token: person,
            other_token,
            parts,
            receiver,
            client,
            whole: BTreeMap::new(),
            _running: running,
            _provider: provider,
            _folder: folder,
        };
        fleet.warm().await;
        fleet
    }

    /// Sends requests until one made as many spans as that before it, in all services: the first make more, as they find out where the
    /// next is.
    async fn warm(&mut self) {
        for _ in 0..5 {
            self.forget();
            assert_eq!(self.send(self.edge, "", &[]).await, 200);
            let mut counted = BTreeMap::new();
            // Nothing new for a second.
            for quiet in 0_u32.. {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let now = self.spans().counted();
                assert!(quiet < 300, "only {now:?} sent spans");
                let is_quiet = now == counted;
                counted = now;
                if is_quiet && counted.len() == ALL.len() && quiet > 5 {
                    break;
                }
            }
            if counted == self.whole {
                return;
            }
            self.whole = counted;
        }
        panic!("no two requests make the same spans");
    }

    fn forget(&self) {
        self.receiver.forget();
        self.parts.iter().for_each(|parts| parts.recorder.reset());
        drop(self.sink.reached());
    }

    fn spans(&self) -> Spans {
        let mut spans = self.receiver.spans();
        let ours = self.parts.iter().map(|parts| parts.recorder.request().resource_spans);
        spans.otlp.extend(ours.flatten().collect::<Vec<ResourceSpans>>());
        spans
    }

    async fn send(&self, to: SocketAddr, query: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = self.client.get(format!("http://{to}/orders/7?{query}"));
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// Sends a request that goes all the way, and waits for all that it makes.
    pub(crate) async fn run(&self, query: &str, headers: &[(&str, &str)]) -> Run {
        self.run_to(self.edge, query, headers, &self.whole).await
    }

    /// The same, to the edge or past it, of which these services make so many spans.
    pub(crate) async fn run_to(
        &self,
        to: SocketAddr,
        query: &str,
        headers: &[(&str, &str)],
        expected: &BTreeMap<String, usize>,
    ) -> Run {
        self.forget();
        let status = self.send(to, query, headers).await;
        self.ended(status, expected).await
    }

    /// Sends a request that a service of others may refuse by itself, and waits for all that it makes; with which status, if so.
    pub(crate) async fn run_or_be_refused(&self, by: &str) -> (Run, Option<u16>) {
        self.forget();
        let status = self.send(self.edge, "", &[]).await;
        let answered = self.wires.to(by).answered().expect("an answer");
        if !(400..500).contains(&answered) {
            return (self.ended(status, &self.whole).await, None);
        }
        let before = ALL.into_iter().take_while(|service| *service != by);
        let of = |service: &str| Some((service.to_owned(), *self.whole.get(service)?));
        let expected: BTreeMap<String, usize> = before.filter_map(of).collect();
        // Its server may tell of what it refused, a second later.
        let mut quiet = 0;
        for _ in 0..400 {
            let spans = self.spans();
            let mut counted = spans.counted();
            counted.remove(by);
            quiet = if counted == expected { quiet + 1 } else { 0 };
            if quiet == 40 {
                return (Run { status, spans, leaked: self.sink.reached() }, Some(answered));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{status}: {:?}, not {expected:?}", self.spans().counted());
    }

    /// Waits until these services have made so many spans.
    async fn ended(&self, status: u16, expected: &BTreeMap<String, usize>) -> Run {
        for _ in 0..400 {
            let spans = self.spans();
            if spans.counted() == *expected {
                return Run { status, spans, leaked: self.sink.reached() };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{status}: {:?}, not {expected:?}", self.spans().counted());
    }
}
