//! Ourselves, as a client of an authorization server.

mod key;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::clock::UnixTime;
use crate::http::{Address, Request, encode};
use crate::secret::Secret;

pub use key::{SigningKey, SigningKeyError};

/// Seconds for which an assertion of ours is good.
const ASSERTION: u64 = 60;

/// How we show an authorization server who we are.
#[derive(Clone)]
pub struct Client {
    id: String,
    proof: Proof,
}

#[derive(Clone)]
enum Proof {
    Secret(Secret),
    Key { key: SigningKey, audience: String },
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Client {
    /// By a secret, in the `Authorization` header (`client_secret_basic`, RFC 6749 section 2.3.1).
    #[must_use]
    pub fn with_secret(id: impl Into<String>, secret: Secret) -> Self {
        Self { id: id.into(), proof: Proof::Secret(secret) }
    }

    /// By an assertion that we sign for each request (`private_key_jwt`, RFC 7523 section 2.2). `audience` is the issuer of
    /// the server, or its token endpoint where it asks for that.
    #[must_use]
    pub fn with_key(id: impl Into<String>, key: SigningKey, audience: impl Into<String>) -> Self {
        Self { id: id.into(), proof: Proof::Key { key, audience: audience.into() } }
    }

    /// Our id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A form that says who sends it.
    pub(crate) fn request(
        &self,
        address: Address,
        fields: &[(&str, &str)],
        now: UnixTime,
        max_bytes: usize,
    ) -> Request {
        match &self.proof {
            Proof::Secret(secret) => {
                Request::form(address, fields, max_bytes).header("authorization", basic(&self.id, secret))
            }
            Proof::Key { key, audience } => {
                let assertion = key.assertion(&self.id, audience, now, ASSERTION);
                let mut fields = fields.to_vec();
                fields.push(("client_id", &self.id));
                fields.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ));
                fields.push(("client_assertion", &assertion));
                Request::form(address, &fields, max_bytes)
            }
        }
    }
}

/// Both parts are encoded like a form before they are joined, so that neither can hold the colon (RFC 6749 section 2.3.1).
fn basic(id: &str, secret: &Secret) -> String {
    let mut joined = Zeroizing::new(Vec::new());
    encode(id, &mut joined);
    joined.push(b':');
    encode(secret.expose(), &mut joined);
    let encoded = Zeroizing::new(STANDARD.encode(&*joined));
    format!("Basic {}", *encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::Algorithm;
    use crate::http::Reach;
    use crate::jose::{Compact, KeySet};

    fn request(client: &Client) -> Request {
        let address = Address::parse("https://as.example/token", Reach::Named).expect("an address");
        client.request(address, &[("grant_type", "client_credentials")], UnixTime(1_800_000_000), 10)
    }

    #[test]
    fn a_secret_goes_into_the_header_alone() {
        let client = Client::with_secret("a:b", Secret::new("c%d e"));
        let request = request(&client);
        let (name, value) = &request.headers[0];
        assert_eq!((*name, value.as_str()), ("authorization", "Basic YSUzQWI6YyUyNWQlMjBl")); // a%3Ab:c%25d%20e
        let (_, body) = request.body.as_ref().expect("a body");
        assert_eq!(&body[..], b"grant_type=client_credentials");
        assert!(!format!("{client:?}{request:?}").contains("c%d"), "{client:?}");
    }

    #[test]
    fn an_assertion_is_signed_for_each_request() {
        let (key, jwk) = SigningKey::generate("k1").expect("a key");
        let client = Client::with_key("orders", key, "https://as.example");
        let (one, two) = (request(&client), request(&client));
        let body = |request: &Request| {
            String::from_utf8_lossy(&request.body.as_ref().expect("a body").1).into_owned()
        };
        assert_ne!(body(&one), body(&two), "each has an id of its own");
        let assertion = body(&one).split("client_assertion=").nth(1).expect("one").to_owned();
        let compact = Compact::parse(&assertion).expect("a token");
        let set = format!(r#"{{"keys":[{jwk}]}}"#);
        let (keys, _) = KeySet::from_jwks(set.as_bytes(), &[Algorithm::EdDsa]).expect("a set");
        let payload = String::from_utf8_lossy(keys.verify(&compact).expect("signed")).into_owned();
        for part in [
            r#""iss":"orders""#,
            r#""sub":"orders""#,
            r#""aud":"https://as.example""#,
            r#""iat":1800000000"#,
            r#""exp":1800000060"#,
        ] {
            assert!(payload.contains(part), "{payload}");
        }
    }
}
