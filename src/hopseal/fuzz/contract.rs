//! A validator whose keys we hold, and what it must keep to whatever comes in.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::keys::FixedKeys;
use hopseal::{
    CLOCK_SKEW, CacheConfig, Credential, Expected, Registry, Token, UnixTime, Validated, Validator,
};

/// When everything is judged.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

/// The key of the PASETOs: RFC 8037 appendix A.1, seed and public half.
pub const ED25519_SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
/// Its public half, in base64url.
pub const ED25519_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// In base64url.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Two validators of the same rules, one of which remembers.
pub struct World {
    bare: Validator<FixedKeys>,
    cached: Validator<FixedKeys>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// With issuers of access tokens, ID tokens and PASETOs.
    pub fn new() -> Self {
        let secret = base64url((0..32).collect::<Vec<u8>>());
        let yaml = format!(
            r#"
issuers:
  - name: dev
    kind: static
    issuer: dev
    jwks: '{{"keys":[{{"kty":"oct","kid":"h1","k":"{secret}"}}]}}'
    audiences: [orders, billing]
    algorithms: [HS256]
    tokens: [access_token, id_token]
    typ: [at+jwt, JWT]
    claims: {{tenant: tid, roles: realm_access.roles, kind: kind}}
  - {{name: paseto, kind: paseto, issuer: dev, paserk: [k4.public.{ED25519_PUBLIC}], audiences: [orders]}}
"#
        );
        let new = || {
            let registry = Registry::from_yaml(&yaml).expect("a registry");
            Validator::fixed(&registry).expect("keys").clock(NOW)
        };
        Self { bare: new(), cached: new().cache(CacheConfig::default()) }
    }

    /// Signs with the secret of `dev`.
    pub fn sign(header: &str, payload: &[u8]) -> String {
        let body = format!("{}.{}", base64url(header), base64url(payload));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &(0..32).collect::<Vec<u8>>());
        format!("{body}.{}", base64url(hmac::sign(&key, body.as_bytes())))
    }

    /// Judges a credential, and holds the answer to what is promised of every answer.
    pub fn judge(&self, token: &str, expected: Expected<'_>) -> Validated {
        let token = Token::new(token);
        let validated = ready(self.bare.validate(&token, expected)).expect("keys are at hand");
        for _ in 0..2 {
            let again = ready(self.cached.validate(&token, expected)).expect("keys are at hand");
            // A proof is good once.
            if !matches!(&again, Validated::Refused(refused) if refused.reason() == hopseal::Reason::Replayed)
            {
                assert_eq!(validated, again, "a cache changed the answer");
            }
        }
        match &validated {
            Validated::Verified(verified) => {
                let (principal, evidence) = (verified.principal(), verified.evidence());
                let sound = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
                assert!(sound(&principal.id) && sound(&principal.issuer) && sound(&evidence.subject));
                for text in principal.tenant.iter().chain(&principal.client).chain(&principal.session) {
                    assert!(sound(text), "{text:?}");
                }
                for list in [&principal.scopes, &principal.roles] {
                    assert!(list.is_sorted() && list.iter().all(|name| sound(name)), "{list:?}");
                }
                assert!(principal.actors.iter().all(|actor| sound(&actor.id)) && principal.actors.len() <= 8);
                assert!(
                    evidence.audience.as_deref().is_some_and(|ours| ["orders", "billing"].contains(&ours))
                );
                assert!(principal.expiry.plus(CLOCK_SKEW) > NOW, "expired");
                assert!(principal.expiry <= NOW.plus(86_400 + CLOCK_SKEW), "valid for too long");
                assert!(evidence.issued_at.is_none_or(|at| at <= NOW.plus(CLOCK_SKEW)));
                assert_eq!(evidence.credential, expected_credential(&validated));
            }
            Validated::Refused(refused) => {
                assert!(refused.detail().len() < 512, "{refused}");
                let shown = format!("{refused} {refused:?}");
                // Our own sentences come in as tokens too, and are no secret: they have spaces.
                let secret = token.expose().len() >= 64 && !token.expose().contains(' ');
                assert!(!secret || !shown.contains(token.expose()), "{refused}");
            }
        }
        validated
    }
}

fn expected_credential(validated: &Validated) -> Credential {
    let issuer = validated.verified().map(|verified| verified.evidence().issuer.as_str());
    match issuer {
        Some("paseto") => Credential::Paseto,
        _ => validated.verified().map_or(Credential::AccessToken, |verified| verified.evidence().credential),
    }
}

/// The value of a future that waits for nothing.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("waits"),
    }
}
