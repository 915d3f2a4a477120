//! The wires between services, and the enemy on them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use reqwest_middleware::Middleware;

use crate::attack::{Attack, Headers};

/// In which a trace and an identity travel.
pub(crate) const CARRIED: [&str; 8] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
];

/// The wire to a service.
#[derive(Clone)]
pub(crate) struct Wire {
    attack: Arc<Mutex<Attack>>,
    answered: Arc<Mutex<Option<u16>>>,
}

impl Wire {
    fn new() -> Self {
        Self { attack: Arc::new(Mutex::new(Attack::none())), answered: Arc::default() }
    }

    pub(crate) fn set(&self, attack: Attack) {
        *self.answered.lock().unwrap() = None;
        *self.attack.lock().unwrap() = attack;
    }

    /// What came by last, as it was.
    pub(crate) fn passed(&self) -> Headers {
        self.attack.lock().unwrap().passed()
    }

    /// The status that came back last to where a request [left](Leaving), if one did.
    pub(crate) fn answered(&self) -> Option<u16> {
        *self.answered.lock().unwrap()
    }

    /// What arrives of what was sent.
    pub(crate) fn carry(&self, mut headers: Headers) -> Headers {
        self.attack.lock().unwrap().apply(&mut headers);
        headers
    }

    fn edit(&self, headers: &mut HeaderMap) {
        let mut sent = HashMap::new();
        for name in CARRIED {
            let values: Vec<&str> = headers.get_all(name).iter().map(|it| it.to_str().unwrap()).collect();
            if !values.is_empty() {
                sent.insert(name.to_owned(), values.join(","));
            }
        }
        for name in CARRIED {
            headers.remove(name);
        }
        for (name, value) in self.carry(sent) {
            headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        }
    }
}

/// All of them, by the service that they lead to.
pub(crate) struct Wires(BTreeMap<&'static str, Wire>);

impl Wires {
    pub(crate) fn new(to: &[&'static str]) -> Self {
        Self(to.iter().map(|service| (*service, Wire::new())).collect())
    }

    pub(crate) fn to(&self, service: &str) -> Wire {
        self.0[service].clone()
    }

    /// What came by last on each.
    pub(crate) fn passed(&self) -> BTreeMap<&'static str, Headers> {
        self.0.iter().map(|(service, wire)| (*service, wire.passed())).collect()
    }
}

/// The wire, where a request comes in.
pub(crate) async fn arriving(State(wire): State<Wire>, mut request: Request, next: Next) -> Response {
    wire.edit(request.headers_mut());
    next.run(request).await
}

/// The wire, where a request goes out: to that host and to no other.
pub(crate) struct Leaving(pub(crate) Wire, pub(crate) String);

#[async_trait::async_trait]
impl Middleware for Leaving {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: reqwest_middleware::Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        if !request.url().as_str().starts_with(&self.1) {
            return next.run(request, extensions).await;
        }
        self.0.edit(request.headers_mut());
        let answer = next.run(request, extensions).await;
        *self.0.answered.lock().unwrap() = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        answer
    }
}
