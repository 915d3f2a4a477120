//! Our services: each a task with a port or a queue of its own, and a tracer under its own name.

use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use hopseal::axum::{Verified, route};
use hopseal::egress::{EgressMiddleware, EgressRules, Rule};
use hopseal::keys::KeyStore;
use hopseal::messaging::{Consumer, KafkaHeaders, NatsHeaders, NewKafkaHeaders, Producer};
use hopseal::neighbours::B3;
use hopseal::seal::Seals;
use hopseal::tower::IdentityLayer;
use hopseal::{Clock, SystemClock, UnixTime, Validator};
use http::StatusCode;
use opentelemetry::propagation::{Extractor, Injector as _};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream::StreamExt as _;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower_layer::Layer as _;

use super::sink::{self, Sink};
use super::trust::{Trust, workload};
use super::wire::{CARRIED, Leaving, Wire, Wires, arriving};
use crate::attack::Headers;
use crate::services::By;
use crate::spans::Recorder;

/// What is sent on by NATS, and by Kafka.
pub(crate) const PARCELS: &str = "parcels";
pub(crate) const MAILS: &str = "mails";
/// A subject of NATS that everyone reads.
pub(crate) const PUBLIC: &str = "public";

/// The time that all of ours go by, as a clock that is slow has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Late(Arc<AtomicU64>);

impl Late {
    pub(crate) fn by(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for Late {
    fn now(&self) -> UnixTime {
        UnixTime(SystemClock.now().0 - self.0.load(Ordering::SeqCst))
    }
}

/// What each is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    name: &'static str,
    pub(crate) recorder: Recorder,
    seals: Arc<Seals>,
    validator: Arc<Validator<KeyStore>>,
    clock: Late,
    stranger: SocketAddr,
}

impl Parts {
    pub(crate) fn new(name: &'static str, trust: &Trust, clock: &Late, stranger: SocketAddr) -> Self {
        Self {
            name,
            recorder: Recorder::new(name),
            seals: Arc::new(trust.seals(name)),
            validator: Arc::clone(&trust.validator),
            clock: clock.clone(),
            stranger,
        }
    }

    fn layer(&self) -> IdentityLayer<Arc<Validator<KeyStore>>> {
        let Seals { sealer, checker } = &*self.seals;
        let validator = Arc::clone(&self.validator);
        IdentityLayer::new(validator, Arc::clone(sealer), Arc::clone(checker), workload(self.name))
            .clock(Arc::new(self.clock.clone()))
            .spans(self.recorder.tracer())
    }

    /// A client for one service, by that wire, and for strangers.
    fn client(&self, next: SocketAddr, wire: Option<Wire>, also_b3: bool) -> Client {
        let next = format!("http://{next}");
        let rules = EgressRules::new([Rule::to(next.as_str())]).unwrap();
        let egress = EgressMiddleware::new(rules, workload(self.name))
            .clock(Arc::new(self.clock.clone()))
            .spans(self.recorder.tracer());
        let egress = if also_b3 { egress.also(B3::multiple()) } else { egress };
        let client = reqwest::Client::builder().no_proxy().resolve(sink::HOST, self.stranger);
        let client = ClientBuilder::new(client.build().unwrap()).with(egress);
        let client = match wire {
            None => client.build(),
            Some(wire) => client.with(Leaving(wire, next.clone())).build(),
        };
        Client { client, next, stranger: format!("http://{}:{}/", sink::HOST, self.stranger.port()) }
    }

    fn producer(&self, destination: &str, system: &str) -> Producer {
        Producer::new(workload(self.name), self.recorder.tracer())
            .allow([destination])
            .system(system)
            .clock(Arc::new(self.clock.clone()))
    }

    fn consumer(&self, system: &str) -> Consumer {
        Consumer::new(Arc::clone(&self.seals.checker), workload(self.name), self.recorder.tracer())
            .system(system)
            .clock(Arc::new(self.clock.clone()))
            // Each message is worked on at once.
            .continuing()
    }
}

#[derive(Clone)]
struct Client {
    client: ClientWithMiddleware,
    next: String,
    stranger: String,
}

impl Client {
    /// Asks the next service, and tells a stranger of it.
    async fn get(&self, path: &str) -> Result<String, StatusCode> {
        let answer = self.client.get(format!("{}{path}", self.next)).send().await;
        self.client.get(&self.stranger).send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let answer = answer.map_err(|_| StatusCode::BAD_GATEWAY)?;
        if !answer.status().is_success() {
            return Err(StatusCode::BAD_GATEWAY);
        }
        answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
    }
}

/// A port of this machine, to be known before what listens there is there.
pub(crate) async fn port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

fn serve(listener: TcpListener, app: Router) {
    tokio::spawn(async move { axum::serve(listener, app).await });
}

/// `gateway`: has tokens validated, and asks `catalog`.
pub(crate) fn gateway(parts: &Parts, listener: TcpListener, catalog: SocketAddr, wires: &Wires) {
    let client = parts.client(catalog, Some(wires.to("catalog")), false);
    let order = async move |_: Verified, Path(number): Path<String>, RawQuery(query): RawQuery| {
        client.get(&format!("/items/{number}?{}", query.unwrap_or_default())).await
    };
    serve(
        listener,
        Router::new().route("/orders/{number}", get(order)).layer(parts.layer().require().routes(route)),
    );
}

/// `stock`, of gRPC: asks `billing`.
struct Stock(Client);

#[tonic::async_trait]
impl Health for Stock {
    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, tonic::Status> {
        let answer = self.0.get("/bills/7").await;
        answer.map_err(|_| tonic::Status::unavailable("`billing` does not answer"))?;
        Ok(tonic::Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = tonic::codegen::tokio_stream::Empty<Result<HealthCheckResponse, tonic::Status>>;

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, tonic::Status> {
        Err(tonic::Status::unimplemented("not here"))
    }
}

pub(crate) fn stock(parts: &Parts, listener: TcpListener, billing: SocketAddr, wires: &Wires) {
    let service = HealthServer::new(Stock(parts.client(billing, Some(wires.to("billing")), false)));
    let service = parts.layer().layer(By("/grpc.health.v1.Health/Check", service));
    let app = Router::new().route_service("/shop.Stock/Reserve", service);
    serve(listener, app.layer(from_fn_with_state(wires.to("stock"), arriving)));
}

/// `ledger`: asks `warehouse`, which knows B3 alone.
pub(crate) fn ledger(parts: &Parts, listener: TcpListener, warehouse: SocketAddr, wires: &Wires) {
    let client = parts.client(warehouse, Some(wires.to("warehouse")), true);
    let entry = async move |Path(number): Path<String>| client.get(&format!("/shelves/{number}")).await;
    let app = Router::new().route("/entries/{number}", get(entry)).layer(parts.layer().routes(route));
    serve(listener, app.layer(from_fn_with_state(wires.to("ledger"), arriving)));
}

/// `packing`: is told of traces by B3, and sends messages by NATS.
#[derive(Clone)]
struct Packing {
    nats: async_nats::Client,
    producer: Arc<Producer>,
}

impl Packing {
    async fn send(&self, subject: &'static str, number: &str) {
        let mut headers = async_nats::HeaderMap::new();
        self.producer.inject(subject, &mut NatsHeaders(&mut headers));
        self.nats.publish_with_headers(subject, headers, number.to_owned().into()).await.unwrap();
    }
}

pub(crate) fn packing(parts: &Parts, listener: TcpListener, nats: &async_nats::Client, wires: &Wires) {
    let packing = Packing { nats: nats.clone(), producer: Arc::new(parts.producer(PARCELS, "nats")) };
    let parcel = async |State(packing): State<Packing>, Path(number): Path<String>| {
        packing.send(PUBLIC, &number).await;
        packing.send(PARCELS, &number).await;
        "packed"
    };
    let app = Router::new()
        .route("/parcels/{number}", get(parcel))
        .with_state(packing)
        .layer(parts.layer().routes(route).traces(B3::multiple()));
    serve(listener, app.layer(from_fn_with_state(wires.to("packing"), arriving)));
}

fn carried(headers: &dyn Extractor) -> Headers {
    let found = CARRIED.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(name)?.to_owned())));
    found.collect()
}

/// `dispatch`: works on messages of NATS, and sends on by Kafka.
pub(crate) async fn dispatch(parts: &Parts, nats: &async_nats::Client, kafka: SocketAddr, wires: &Wires) {
    let (consumer, producer, wire) =
        (parts.consumer("nats"), parts.producer(MAILS, "kafka"), wires.to("dispatch"));
    let broker: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", kafka.to_string()).create().unwrap();
    // Never closed, since at the end there is nobody to take leave of.
    let broker = ManuallyDrop::new(broker);
    let mut parcels = nats.subscribe(PARCELS).await.unwrap();
    tokio::spawn(async move {
        while let Some(mut message) = parcels.next().await {
            let sent = carried(&NatsHeaders(message.headers.as_mut().unwrap()));
            let mut arrived = async_nats::HeaderMap::new();
            for (name, value) in wire.carry(sent) {
                NatsHeaders(&mut arrived).set(&name, value);
            }
            let received = consumer.receive(PARCELS, &NatsHeaders(&mut arrived));
            let work = async {
                let mut headers = NewKafkaHeaders(OwnedHeaders::new());
                producer.inject(MAILS, &mut headers);
                let record = FutureRecord::to(MAILS).key("7").payload(&message.payload[..]);
                let sent = broker.send(record.headers(headers.0), std::time::Duration::from_secs(20)).await;
                sent.map_err(|(error, _)| error).unwrap();
            };
            consumer.process(received, work).await;
        }
    });
}

/// `mailer`: works on messages of Kafka, and calls a function.
pub(crate) async fn mailer(parts: &Parts, kafka: SocketAddr, functions: SocketAddr, wires: &Wires) {
    let (consumer, wire) = (parts.consumer("kafka"), wires.to("mailer"));
    let client = parts.client(functions, Some(wires.to("receipts")), false);
    let broker: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.to_string())
        .set("group.id", "mailer")
        .create()
        .unwrap();
    let topic = NewTopic::new(MAILS, 1, TopicReplication::Fixed(1));
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka.to_string()).create().unwrap();
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    // As the only one of its group it need not be told which part is its own.
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(MAILS, 0, Offset::Beginning).unwrap();
    broker.assign(&all).unwrap();
    let broker = ManuallyDrop::new(broker);
    tokio::spawn(async move {
        while let Ok(message) = broker.recv().await {
            let number = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            let mut arrived = NewKafkaHeaders(OwnedHeaders::new());
            for (name, value) in wire.carry(carried(&KafkaHeaders(message.headers().unwrap()))) {
                arrived.set(&name, value);
            }
            let received = consumer.receive(MAILS, &KafkaHeaders(&arrived.0));
            consumer
                .process(received, async { client.get(&format!("/receipts/{number}")).await.unwrap() })
                .await;
        }
    });
}

/// Keeps what is said on a subject that everyone reads.
pub(crate) async fn eavesdrop(nats: &async_nats::Client, sink: &Sink) {
    let (mut public, sink) = (nats.subscribe(PUBLIC).await.unwrap(), sink.clone());
    tokio::spawn(async move {
        while let Some(message) = public.next().await {
            sink.keep(format!("{:?}", message.headers));
        }
    });
}
