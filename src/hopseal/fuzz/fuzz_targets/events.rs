#![no_main]

use std::sync::{Arc, LazyLock};

use hopseal::events::{FeedSettings, Receiver};
use hopseal::keys::FixedKeys;
use hopseal::{CLOCK_SKEW, Registry, Revocation, Revocations};
use hopseal_fuzz::{NOW, World, base64url, ready};
use libfuzzer_sys::fuzz_target;

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let secret = base64url((0..32).collect::<Vec<u8>>());
    let issuer = |name: &str| {
        format!(
            r#"
  - name: {name}
    kind: static
    issuer: {name}
    jwks: '{{"keys":[{{"kty":"oct","kid":"h1","k":"{secret}"}}]}}'
    audiences: [orders]
    algorithms: [HS256]"#
        )
    };
    Registry::from_yaml(&format!("issuers:{}{}", issuer("dev"), issuer("other"))).expect("a registry")
});

// Payloads under a good signature, as a security event and as a logout. What follows is of the issuer alone, and in force.
fuzz_target!(|payload: &[u8]| {
    let revocations = Arc::new(Revocations::with_capacity(100));
    let keys = FixedKeys::of(&REGISTRY).expect("keys");
    let feeds = [FeedSettings::new("dev", ["orders"])];
    let receiver = Receiver::builder(&REGISTRY, keys, Arc::clone(&revocations), feeds);
    let receiver = receiver.clock(NOW).build().expect("a receiver");
    let event = World::sign(r#"{"alg":"HS256","typ":"secevent+jwt"}"#, payload);
    let logout = World::sign(r#"{"alg":"HS256","typ":"logout+jwt"}"#, payload);
    let taken = [ready(receiver.receive(&event)), ready(receiver.logout(&logout))];
    let taken: Vec<_> = taken.into_iter().map(|taken| taken.expect("keys are at hand")).collect();
    assert!(taken.iter().filter(|taken| taken.is_ok()).count() <= 1, "an event and a logout");
    for event in taken.into_iter().flatten() {
        assert!(event.at <= NOW.plus(CLOCK_SKEW), "from the future");
        assert!(event.revocations.len() <= 16 && revocations.len() <= event.revocations.len());
        for revocation in event.revocations {
            let (Revocation::Token { issuer, .. }
            | Revocation::Session { issuer, .. }
            | Revocation::Subject { issuer, .. }
            | Revocation::Issuer { issuer, .. }) = revocation;
            assert_eq!(issuer, "dev");
        }
    }
    ready(receiver.push(Some("application/secevent+jwt"), None, payload));
    ready(receiver.backchannel_logout(payload));
});
