//! The services, and what runs between them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use hopseal::UnixTime;
use hopseal::axum::{Verified, route};
use hopseal::egress::{Destination, EgressLayer, EgressRules, EgressService, Rule};
use hopseal::messaging::{Consumer, Producer};
use hopseal::otel::HopIdentity;
use hopseal::tower::IdentityLayer;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower_layer::Layer as _;
use tower_service::Service;

use super::attack::{Attack, Headers};
use super::spans::Recorder;
use super::trust;

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A host that is not ours, and what reached it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stranger(Arc<Mutex<Vec<HeaderMap>>>);

impl Service<Request<()>> for Stranger {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        self.0.lock().unwrap().push(request.headers().clone());
        std::future::ready(Ok(Response::new(())))
    }
}

impl Stranger {
    pub(crate) fn reached(&self) -> Vec<HeaderMap> {
        self.0.lock().unwrap().clone()
    }
}

/// The wire to a service, with an enemy on it. The service is a task of its own, as another process would be.
#[derive(Clone)]
struct Wire<S> {
    attack: Attack,
    service: S,
}

impl<S, B, R> Service<Request<B>> for Wire<S>
where
    S: Service<Request<B>, Response = R, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = R;
    type Error = tokio::task::JoinError;
    type Future = Boxed<R, tokio::task::JoinError>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let names = ["traceparent", "baggage"];
        let mut carried = Headers::new();
        for name in names {
            if let Some(value) = request.headers_mut().remove(name) {
                carried.insert(name.to_owned(), value.to_str().unwrap().to_owned());
            }
        }
        self.attack.apply(&mut carried);
        for (name, value) in carried {
            let value = HeaderValue::try_from(value).unwrap();
            request.headers_mut().insert(HeaderName::try_from(name).unwrap(), value);
        }
        let mut service = self.service.clone();
        let task = tokio::spawn(async move { service.call(request).await });
        Box::pin(async move { Ok(task.await?.unwrap_or_else(|never| match never {})) })
    }
}

/// Calls by another path. That of a health check would not be judged.
#[derive(Clone)]
pub(crate) struct By<S>(pub(crate) &'static str, pub(crate) S);

impl<S: Service<Request<B>>, B> Service<Request<B>> for By<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.1.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        *request.uri_mut() = self.0.parse().unwrap();
        self.1.call(request)
    }
}

/// One run of the fleet.
pub(crate) struct Fleet {
    pub(crate) gateway: Recorder,
    pub(crate) orders: Recorder,
    pub(crate) shipping: Recorder,
    pub(crate) stranger: Stranger,
    /// What the token is that the client brings.
    pub(crate) authorization: Vec<String>,
    pub(crate) now: UnixTime,
    /// The time that the gateway goes by.
    pub(crate) gateway_time: UnixTime,
    pub(crate) to_orders: Attack,
    pub(crate) to_shipping: Attack,
}

/// What was seen of a run from outside.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// What `orders` and `shipping` made of what reached them.
    pub(crate) orders: Option<HopIdentity>,
    pub(crate) shipping: Option<HopIdentity>,
    /// What was on the wire, before the enemy had it.
    pub(crate) message: Headers,
}

#[derive(Clone)]
struct Orders {
    producer: Producer,
    queue: Arc<Mutex<Vec<Headers>>>,
    seen: Arc<Mutex<Option<HopIdentity>>>,
    outside: EgressService<Stranger>,
}

async fn call_outside(client: &EgressService<Stranger>) {
    let mut request = Request::new(());
    *request.uri_mut() = "https://stranger.example/".parse().unwrap();
    client.clone().call(request).await.unwrap();
}

#[tonic::async_trait]
impl Health for Orders {
    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, tonic::Status> {
        *self.seen.lock().unwrap() = HopIdentity::current();
        call_outside(&self.outside).await;
        let mut message = HashMap::new();
        self.producer.inject("shipments", &mut message);
        self.queue.lock().unwrap().push(message);
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

impl Fleet {
    pub(crate) fn new() -> Self {
        let now = hopseal::Clock::now(&hopseal::SystemClock);
        Self {
            gateway: Recorder::new("gateway"),
            orders: Recorder::new("orders"),
            shipping: Recorder::new("shipping"),
            stranger: Stranger::default(),
            authorization: vec![format!("Bearer {}", trust::token(now, &[], &trust::issuer_seed()))],
            now,
            gateway_time: now,
            to_orders: Attack::none(),
            to_shipping: Attack::none(),
        }
    }

    pub(crate) fn recorders(&self) -> [Recorder; 3] {
        [self.gateway.clone(), self.orders.clone(), self.shipping.clone()]
    }

    fn outside(&self, recorder: &Recorder, time: UnixTime) -> EgressService<Stranger> {
        let layer =
            EgressLayer::new(EgressRules::default(), "x").clock(Arc::new(time)).spans(recorder.tracer());
        layer.layer(self.stranger.clone())
    }

    /// One request of a client, until the message that comes of it is worked on.
    pub(crate) async fn run(&self) -> Seen {
        let (queue, seen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
        let orders = Orders {
            producer: Producer::new("spiffe://example.org/orders", self.orders.tracer())
                .allow(["shipments"])
                .clock(Arc::new(self.now)),
            queue: Arc::clone(&queue),
            seen: Arc::clone(&seen),
            outside: self.outside(&self.orders, self.now),
        };
        let layer = |workload, recorder: &Recorder, time: UnixTime| {
            IdentityLayer::new(trust::validator(self.now), trust::gateway(), trust::checker(), workload)
                .clock(Arc::new(time))
                .spans(recorder.tracer())
        };
        let orders = layer("spiffe://example.org/orders", &self.orders, self.now)
            .layer(By("/grpc.health.v1.Health/Check", HealthServer::new(orders)));

        let there = Destination::parse("https://orders.internal").unwrap();
        let rules = EgressRules::new([Rule::to("https://orders.internal")]).unwrap();
        let client = EgressLayer::new(rules, "spiffe://example.org/gateway")
            .toward(there)
            .clock(Arc::new(self.gateway_time))
            .spans(self.gateway.tracer())
            .layer(Wire { attack: self.to_orders.clone(), service: orders });
        let outside = self.outside(&self.gateway, self.gateway_time);
        let handler = async move |_: Verified| {
            call_outside(&outside).await;
            let answer = HealthClient::new(By("/shop.Orders/Place", client.clone()))
                .check(HealthCheckRequest::default())
                .await;
            answer.map(drop).map_err(|_| http::StatusCode::BAD_GATEWAY)
        };
        let gateway = layer("spiffe://example.org/gateway", &self.gateway, self.gateway_time)
            .require()
            .edge(&["user.id"])
            .keep_token()
            .routes(route);
        let mut app: Router = Router::new().route("/orders/{id}", get(handler)).layer(gateway);
        let mut request = Request::get("/orders/7").body(Body::empty()).unwrap();
        for value in &self.authorization {
            request.headers_mut().append("authorization", value.parse().unwrap());
        }
        let status =
            tokio::spawn(async move { app.call(request).await }).await.unwrap().unwrap().status().as_u16();

        let message = queue.lock().unwrap().pop();
        let shipping = Mutex::new(None);
        if let Some(mut message) = message.clone() {
            self.to_shipping.apply(&mut message);
            let consumer =
                Consumer::new(trust::checker(), "spiffe://example.org/shipping", self.shipping.tracer())
                    .resealing(trust::shipping())
                    .clock(Arc::new(self.now));
            let outside = self.outside(&self.shipping, self.now);
            let work = async {
                *shipping.lock().unwrap() = HopIdentity::current();
                call_outside(&outside).await;
            };
            consumer.process(consumer.receive("shipments", &message), work).await;
        }
        let orders = seen.lock().unwrap().clone();
        Seen {
            status,
            orders,
            shipping: shipping.into_inner().unwrap(),
            message: message.unwrap_or_default(),
        }
    }
}
