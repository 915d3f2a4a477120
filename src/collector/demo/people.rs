//! People: with a browser at the gateway, or past it.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::error::DemoError;
use super::realm::{Kind, Realm};
use super::trust::random;

/// The browser, which runs in people's hands.
pub(super) const BROWSER: &str = "browser";
/// A terminal in a public place, whose tokens live three seconds.
pub(super) const KIOSK: &str = "kiosk";
pub(super) const KIOSK_SECONDS: u64 = 3;

const WHAT: &str = "signing in";

/// Where a browser comes back to after sign-in. Nobody answers there: the code is read off the address.
const REDIRECT: &str = "http://127.0.0.1/signed-in";

/// What people ask with.
pub(super) struct People {
    client: Client,
    realm: Realm,
}

/// Somebody with a token.
#[derive(Debug, Deserialize)]
pub(super) struct SignedIn {
    access_token: String,
}

impl People {
    /// People who sign in there.
    pub(super) fn new(realm: Realm) -> Result<Self, DemoError> {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build();
        Ok(Self { client: client.map_err(DemoError::set_up("a client"))?, realm })
    }

    /// Signs a person in through a client.
    pub(super) async fn sign_in(&self, client: &str, person: &str) -> Result<SignedIn, DemoError> {
        match self.realm.kind {
            Kind::Ours => self.by_code(client, person).await,
            // There, passwords are names.
            Kind::Keycloak => {
                let who = [("username", person), ("password", person)];
                let asked = [("grant_type", "password"), ("client_id", client)].into_iter().chain(who);
                self.token(&asked.collect::<Vec<_>>()).await
            }
        }
    }

    /// As browsers do it (RFC 6749 section 4.1, RFC 7636).
    async fn by_code(&self, client: &str, person: &str) -> Result<SignedIn, DemoError> {
        let (verifier, issuer) = (random::<32>()?, &self.realm.issuer);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let asked = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("login_hint", person),
        ];
        let request = self.client.get(format!("{issuer}/authorize?{}", form(&asked)));
        let answer = request.send().await.map_err(DemoError::call(WHAT))?;
        let back = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let Some((_, code)) = back.and_then(|back| back.split_once("?code=")) else {
            return Err(DemoError::Status { what: WHAT, status: answer.status().as_u16() });
        };
        let asked = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("code", code),
            ("code_verifier", &verifier),
        ];
        self.token(&asked).await
    }

    async fn token(&self, asked: &[(&str, &str)]) -> Result<SignedIn, DemoError> {
        let request = self.client.post(&self.realm.tokens).body(form(asked));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.map_err(DemoError::call(WHAT))?;
        if !answer.status().is_success() {
            return Err(DemoError::Status { what: WHAT, status: answer.status().as_u16() });
        }
        let text = answer.text().await.map_err(DemoError::call(WHAT))?;
        serde_json::from_str(&text).map_err(DemoError::call(WHAT))
    }

    /// A request to a service, yet without a credential.
    pub(super) fn ask(&self, method: Method, service: SocketAddr, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{service}{path}"))
    }
}

impl SignedIn {
    /// Adds the token to a request, and sends it.
    pub(super) async fn send(&self, what: &'static str, request: RequestBuilder) -> Result<(), DemoError> {
        send(what, request.bearer_auth(&self.access_token)).await
    }
}

/// Sends a request, which is to be served.
pub(super) async fn send(what: &'static str, request: RequestBuilder) -> Result<(), DemoError> {
    let answer = request.send().await.map_err(DemoError::call(what))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(DemoError::Status { what, status: status.as_u16() }),
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
