//! The policy, row by row and against chance; an issuer that is a script, and a clock that is set by hand.

mod machine;
mod policy;
mod snapshot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::http::{Answer, Fetch, Fetching, HttpFault, Request};
use crate::{Algorithm, Clock, IssuerBuilder, IssuerKind, Observed, Observer, Registry, UnixTime};

const START: u64 = 1_800_000_000;

/// A JWK of a new key.
fn jwk(kid: &str) -> String {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#)
}

fn jwks(keys: &[&str]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A set of new keys.
fn set(kids: &[&str]) -> KeySet {
    let keys: Vec<String> = kids.iter().map(|kid| jwk(kid)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    KeySet::from_jwks(jwks(&keys).as_bytes(), &[Algorithm::EdDsa]).expect("a set").0
}

#[derive(Debug, Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn set(&self, time: u64) {
        self.0.store(time, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

/// What an issuer answers.
#[derive(Debug, Clone)]
enum Says {
    Keys(String),
    /// With an `ETag`, which is honoured.
    Tagged(String, &'static str),
    With(String, (&'static str, &'static str)),
    Status(u16),
    Nothing,
    /// After this long.
    Late(Duration, String),
}

/// An issuer whose keys are at one address.
#[derive(Debug, Clone)]
struct Idp {
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicU64>,
}

impl Idp {
    fn new(says: Says) -> Self {
        Self { says: Arc::new(Mutex::new(says)), asked: Arc::default() }
    }

    fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Fetch for Idp {
    fn fetch(&self, request: Request) -> Fetching<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let says = self.says.lock().unwrap().clone();
        let sent = request.headers.iter().find(|(name, _)| *name == "if-none-match");
        let sent = sent.map(|(_, value)| value.to_string());
        let answer = |status, headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Ok(Answer { status, headers: headers.collect(), body: body.as_bytes().to_vec().into() })
        };
        Box::pin(async move {
            match says {
                Says::Keys(keys) => answer(200, &[], &keys),
                Says::Tagged(_, tag) if sent.as_deref() == Some(tag) => answer(304, &[("etag", tag)], ""),
                Says::Tagged(keys, tag) => answer(200, &[("etag", tag)], &keys),
                Says::With(keys, header) => answer(200, &[header], &keys),
                Says::Status(status) => answer(status, &[], ""),
                Says::Nothing => Err(HttpFault::Timeout),
                Says::Late(time, keys) => {
                    tokio::time::sleep(time).await;
                    answer(200, &[], &keys)
                }
            }
        })
    }
}

/// Counts what happens, by word.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    /// What happened since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Seen {
    fn observe(&self, observed: &Observed<'_>) {
        let text = match observed {
            Observed::KeysFetched { outcome, .. } => format!("fetched {outcome}"),
            Observed::KeysSkipped { count, .. } => format!("skipped {count}"),
            Observed::KeysStale { age, .. } => format!("stale {age}"),
            Observed::KeysUnavailable { .. } => "unavailable".to_owned(),
            Observed::UnknownKid { outcome, .. } => format!("unknown {outcome}"),
            other => panic!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

/// A store for one issuer, `idp`.
struct Lab {
    idp: Idp,
    clock: Hand,
    seen: Seen,
    store: KeyStore,
}

impl Lab {
    fn new(says: Says) -> Self {
        Self::with(says, KeySettings::default())
    }

    fn with(says: Says, settings: KeySettings) -> Self {
        let (idp, clock, seen) = (Idp::new(says), Hand::new(), Seen::default());
        let store = KeyStore::builder(&registry(), idp.clone())
            .settings(settings)
            .clock(clock.clone())
            .observer(seen.clone())
            .build()
            .expect("a store");
        Self { idp, clock, seen, store }
    }

    /// Asks for a key. What is said of a token that is signed by it: its status.
    async fn ask(&self, kid: &str) -> u16 {
        let status = match self.store.find("idp", Some(kid)).await {
            Ok(keys) if keys.set.has(kid) => 200,
            Ok(_) => 401,
            Err(_) => 503,
        };
        // What goes on in the background is done before anything is looked at.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        status
    }
}

fn registry() -> Registry {
    let issuer = IssuerBuilder::new(IssuerKind::Jwks, "idp", "https://idp.example")
        .jwks_uri("https://idp.example/jwks")
        .audiences(["a"])
        .algorithms([Algorithm::EdDsa]);
    Registry::new([issuer]).expect("a registry")
}
