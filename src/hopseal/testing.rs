//! Issuers, keys and tokens for tests.

#![cfg(feature = "jwt")]

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::{Credential, Evidence, Fingerprint, Registry, SpiffeId, Token, UnixTime, Verified};

/// The moment at which tests judge: 2027-01-15T08:00:00Z.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

/// RFC 8037 appendix A.1.
const ED25519_SECRET: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519: &str =
    r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// RFC 7515 appendix A.3.
const P256_SECRET: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

/// A file that is too big to be kept here, in the folder that a variable names. `None` where the variable is not set, which is
/// said on the terminal though the test passes; a folder that is named has to be there.
pub(crate) fn published(variable: &str, name: &str) -> Option<std::path::PathBuf> {
    use std::io::Write as _;

    let Some(folder) = std::env::var_os(variable).map(std::path::PathBuf::from) else {
        // Not by `eprintln!`, which is not seen of tests that pass.
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ =
            writeln!(std::io::stderr(), "SKIPPED {test}: {variable} does not name the folder of `{name}`");
        return None;
    };
    assert!(folder.is_dir(), "{variable} names {}, which is no folder", folder.display());
    Some(folder.join(name))
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(base64url: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(base64url).expect("base64url")
}

/// `staff` issues access tokens, plain ones too, and ID tokens; `strict` only those of RFC 9068; `evil` is trusted as well and
/// has another key; `dev` has a secret; `mesh` and `txn` are of the trust domain `prod.example`.
pub(crate) fn yaml() -> String {
    let other =
        ED25519.replace("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", &base64url(ed25519(&[7; 32]).1));
    let p256 =
        format!(r#"{{"kty":"EC","crv":"P-256","kid":"e1","use":"jwt-svid","x":"{P256_X}","y":"{P256_Y}"}}"#);
    let secret = base64url((0..32).collect::<Vec<u8>>());
    format!(
        r#"
issuers:
  - name: staff
    kind: static
    issuer: https://id.example
    jwks: '{{"keys":[{ED25519}]}}'
    audiences: [orders, billing]
    algorithms: [EdDSA]
    tokens: [access_token, id_token]
    typ: [at+jwt, JWT]
    max_lifetime: 1h
    claims: {{tenant: tid, roles: realm_access.roles, kind: kind}}
  - name: strict
    kind: static
    issuer: https://strict.example
    jwks: '{{"keys":[{ED25519}]}}'
    audiences: [orders]
    algorithms: [EdDSA]
  - name: evil
    kind: static
    issuer: https://evil.example
    jwks: '{{"keys":[{other}]}}'
    audiences: [orders]
    algorithms: [EdDSA]
  - name: dev
    kind: static
    issuer: dev
    jwks: '{{"keys":[{{"kty":"oct","kid":"h1","k":"{secret}"}}]}}'
    audiences: [orders]
    algorithms: [HS256]
    typ: [JWT]
  - name: mesh
    kind: spiffe
    issuer: prod.example
    jwks: '{{"keys":[{p256}]}}'
    audiences: [orders]
    algorithms: [ES256]
  - name: txn
    kind: txn_token
    issuer: prod.example
    jwks: '{{"keys":[{ED25519}]}}'
    algorithms: [EdDSA]
    max_lifetime: 5m
"#
    )
}

pub(crate) fn registry() -> Registry {
    Registry::from_yaml(&yaml()).expect("a registry")
}

/// A workload as validated by its certificate, for ten minutes.
pub(crate) fn peer(id: &str) -> Verified {
    let parsed = SpiffeId::parse(id).expect("an id");
    Verified::new(
        Evidence {
            credential: Credential::X509Svid,
            issuer: "mesh".to_owned(),
            algorithm: None,
            kid: None,
            token_id: None,
            subject: id.to_owned(),
            audience: None,
            issued_at: None,
            not_before: None,
            confirmation: None,
            fingerprint: Fingerprint::of(b"der"),
            offered_key: false,
            proxy: None,
        },
        crate::mesh::workload(&parsed, NOW.plus(600)),
    )
}

fn ed25519(seed: &[u8]) -> (Ed25519KeyPair, Vec<u8>) {
    use aws_lc_rs::signature::KeyPair as _;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed");
    let public = pair.public_key().as_ref().to_vec();
    (pair, public)
}

/// The key of [`Mint::svid`], which does not say what it is for.
#[cfg(feature = "workload-api")]
pub(crate) fn p256(kid: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"P-256","kid":"{kid}","x":"{P256_X}","y":"{P256_Y}"}}"#)
}

/// The public key of a seed.
#[cfg(feature = "cache")]
pub(crate) fn jwk(kid: &str, seed: u8) -> String {
    let public = base64url(ed25519(&[seed; 32]).1);
    format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{public}"}}"#)
}

/// The other signature over the same token by the same ECDSA key on P-256: (r, n - s) for (r, s).
#[cfg(feature = "cache")]
pub(crate) fn high_s_twin(token: &str) -> String {
    const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let (body, signature) = token.rsplit_once('.').expect("three parts");
    let signature = bytes(signature);
    let digit = |letter: u8| u8::try_from(char::from(letter).to_digit(16).expect("hex")).expect("small");
    let n: Vec<u8> = N.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let mut borrow = 0;
    let mut twin = vec![0; 32];
    for at in (0..32).rev() {
        let difference = i16::from(n[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        twin[at] = u8::try_from(difference.rem_euclid(256)).expect("a byte");
    }
    format!("{body}.{}", base64url([&signature[..32], &twin].concat()))
}

/// A token in the making: members of header and payload, as JSON, in the order written.
#[derive(Clone)]
pub(crate) struct Mint {
    header: Vec<(String, String)>,
    claims: Vec<(String, String)>,
    seed: Vec<u8>,
}

impl Mint {
    fn new(header: &[(&str, &str)], claims: &[(&str, &str)]) -> Self {
        let own = |members: &[(&str, &str)]| {
            members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        Self { header: own(header), claims: own(claims), seed: bytes(ED25519_SECRET) }
    }

    /// An access token of `staff`, after RFC 9068.
    pub(crate) fn access() -> Self {
        Self::new(
            &[("alg", r#""EdDSA""#), ("kid", r#""k1""#), ("typ", r#""at+jwt""#)],
            &[
                ("iss", r#""https://id.example""#),
                ("aud", r#""orders""#),
                ("sub", r#""alice""#),
                ("client_id", r#""shop""#),
                ("jti", r#""j1""#),
                ("iat", "1800000000"),
                ("exp", "1800000600"),
                ("scope", r#""write read""#),
            ],
        )
    }

    /// An access token of `staff`, plain.
    pub(crate) fn plain() -> Self {
        Self::access().header("typ", r#""JWT""#).without("jti")
    }

    /// An ID token of `staff`.
    pub(crate) fn id() -> Self {
        Self::plain().without("scope").without("client_id").set("nonce", r#""n1""#)
    }

    /// A token of `dev`, signed with a secret.
    pub(crate) fn secret() -> Self {
        Self::plain().header("alg", r#""HS256""#).header("kid", r#""h1""#).set("iss", r#""dev""#)
    }

    /// A JWT-SVID of `mesh`.
    pub(crate) fn svid() -> Self {
        Self::new(
            &[("alg", r#""ES256""#), ("kid", r#""e1""#), ("typ", r#""JWT""#)],
            &[
                ("sub", r#""spiffe://prod.example/cart""#),
                ("aud", r#"["orders"]"#),
                ("iat", "1800000000"),
                ("exp", "1800000300"),
            ],
        )
    }

    /// A transaction token of `txn`.
    pub(crate) fn txn() -> Self {
        Self::new(
            &[("alg", r#""EdDSA""#), ("kid", r#""k1""#), ("typ", r#""txntoken+jwt""#)],
            &[
                ("iat", "1800000000"),
                ("aud", r#""prod.example""#),
                ("exp", "1800000300"),
                ("txn", r#""97053963""#),
                ("sub", r#""d084""#),
                ("scope", r#""trade.stocks""#),
                ("req_wl", r#""gateway.prod.example""#),
                ("tctx", r#"{"action":"BUY"}"#),
            ],
        )
    }

    /// A DPoP proof for a `GET` of `https://orders.example/list`, by the key of the JWT-SVIDs.
    pub(crate) fn proof(access: &Token) -> Self {
        let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{P256_X}","y":"{P256_Y}"}}"#);
        let ath = base64url(Sha256::digest(access.expose()));
        Self::new(
            &[("typ", r#""dpop+jwt""#), ("alg", r#""ES256""#), ("jwk", &jwk)],
            &[
                ("jti", r#""p1""#),
                ("htm", r#""GET""#),
                ("htu", r#""https://orders.example/list""#),
                ("iat", "1800000000"),
                ("ath", &format!("\"{ath}\"")),
            ],
        )
    }

    /// Bound to the key of [`Self::proof`].
    pub(crate) fn bound(self) -> Self {
        // RFC 7638, over the key of RFC 7515 appendix A.3.
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{P256_X}","y":"{P256_Y}"}}"#);
        self.set("cnf", &format!(r#"{{"jkt":"{}"}}"#, base64url(Sha256::digest(jwk))))
    }

    /// With this claim, in place of the one of that name if there is one.
    pub(crate) fn set(mut self, name: &str, json: &str) -> Self {
        put(&mut self.claims, name, json);
        self
    }

    /// With this claim besides what there is.
    pub(crate) fn also(mut self, name: &str, json: &str) -> Self {
        self.claims.push((name.to_owned(), json.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.claims.retain(|(other, _)| other != name);
        self
    }

    /// With this member of the header, likewise.
    pub(crate) fn header(mut self, name: &str, json: &str) -> Self {
        put(&mut self.header, name, json);
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.header.retain(|(other, _)| other != name);
        self
    }

    /// Signed by another Ed25519 key.
    pub(crate) fn by(mut self, seed: u8) -> Self {
        self.seed = vec![seed; 32];
        self
    }

    pub(crate) fn header_json(&self) -> String {
        object(&self.header)
    }

    pub(crate) fn claims_json(&self) -> String {
        object(&self.claims)
    }

    pub(crate) fn text(&self) -> String {
        self.sign(&self.header_json(), self.claims_json().as_bytes())
    }

    pub(crate) fn token(&self) -> Token {
        Token::new(self.text())
    }

    /// Any payload, signed by the algorithm of the header.
    pub(crate) fn sign(&self, header: &str, payload: &[u8]) -> String {
        let body = format!("{}.{}", base64url(header), base64url(payload));
        let signature = if header.contains("HS256") {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &(0..32).collect::<Vec<u8>>());
            hmac::sign(&key, body.as_bytes()).as_ref().to_vec()
        } else if header.contains("ES256") {
            let public = [&[4], bytes(P256_X).as_slice(), &bytes(P256_Y)].concat();
            let pair = EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                &bytes(P256_SECRET),
                &public,
            );
            let signed = pair.expect("a key").sign(&SystemRandom::new(), body.as_bytes());
            signed.expect("a signature").as_ref().to_vec()
        } else {
            ed25519(&self.seed).0.sign(body.as_bytes()).as_ref().to_vec()
        };
        format!("{body}.{}", base64url(signature))
    }
}

fn put(members: &mut Vec<(String, String)>, name: &str, json: &str) {
    match members.iter_mut().find(|(other, _)| other == name) {
        Some((_, value)) => json.clone_into(value),
        None => members.push((name.to_owned(), json.to_owned())),
    }
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    format!("{{{}}}", members.join(","))
}

/// The value of a future that waits for nothing.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("waits"),
    }
}

/// A clock that goes where it is told to.
#[derive(Debug, Clone)]
pub(crate) struct Hand(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl Default for Hand {
    fn default() -> Self {
        Self(std::sync::Arc::new(NOW.0.into()))
    }
}

impl Hand {
    pub(crate) fn set(&self, now: UnixTime) {
        self.0.store(now.0, std::sync::atomic::Ordering::Relaxed);
    }
}

impl crate::Clock for Hand {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }
}
