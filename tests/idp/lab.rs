//! What the tests have in common: a clock set by hand, keys, tokens, an issuer in a registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::http::{Http, HttpSettings};
use hopseal::keys::{KeyStore, KeyStoreBuilder};
use hopseal::{Algorithm, Clock, IssuerBuilder, IssuerKind, Registry, UnixTime};

/// RFC 8037 appendix A.2, as a JWK with this id.
pub(crate) fn jwk(kid: &str) -> String {
    format!(
        r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
    )
}

pub(crate) fn jwks(kids: &[&str]) -> String {
    let keys: Vec<String> = kids.iter().map(|kid| jwk(kid)).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A token in form whose signature is anything.
pub(crate) fn garbage(kid: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#));
    format!("{header}.e30.{}", URL_SAFE_NO_PAD.encode([7; 64]))
}

/// Starts at the true time, as real tokens need it, and is moved by hand.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(hopseal::SystemClock.now().0)))
    }

    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

/// A client that gives up early: what is slow here never ends.
pub(crate) fn http() -> Http {
    let mut settings = HttpSettings::default();
    settings.timeout = Duration::from_millis(300);
    Http::new(&settings).unwrap()
}

/// A registry of one OpenID provider on this machine.
pub(crate) fn registry(id: &str, algorithms: &[Algorithm]) -> Registry {
    let issuer = IssuerBuilder::new(IssuerKind::Oidc, "idp", id)
        .audiences(["orders"])
        .algorithms(algorithms.iter().copied())
        .loopback_http();
    Registry::new([issuer]).unwrap()
}

/// A store for that registry.
pub(crate) fn store<'r>(registry: &'r Registry, clock: &Hand) -> KeyStoreBuilder<'r> {
    KeyStore::builder(registry, http()).clock(clock.clone())
}
