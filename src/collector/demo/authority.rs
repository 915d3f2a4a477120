//! The authorization server of the fleet: metadata (RFC 8414), keys, sign-in with PKCE (RFC 7636), client credentials, token
//! exchange (RFC 8693). Its access tokens are those of RFC 9068, signed with a key that is made for this run.
//!
//! It asks nobody for a password: whoever runs the demo is everybody in it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hopseal::keys::FixedKeys;
use hopseal::{
    Algorithm, Clock as _, Credential, IssuerBuilder, IssuerKind, Registry, SystemClock, Token, Validated,
    Validator, Verified,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::error::DemoError;
use super::trust::{AUDIENCE, issuer_claims, random};

const CODE: &str = "authorization_code";
/// Codes that wait for their clients; of more, the oldest are forgotten.
const CODES: usize = 256;
const CLIENT: &str = "client_credentials";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Who may ask for tokens.
#[derive(Debug)]
struct Client {
    id: &'static str,
    /// Seconds that its tokens live.
    lifetime: u64,
    /// None for what runs in people's hands.
    secret: Option<String>,
}

/// Somebody who signed in, until the client comes for the token.
struct Code {
    user: String,
    client: String,
    redirect: String,
    challenge: String,
}

/// See the [module](self).
pub(super) struct Authority {
    issuer: String,
    kid: String,
    key: Ed25519KeyPair,
    clients: Vec<Client>,
    /// The oldest first, no more than [`CODES`].
    codes: Mutex<VecDeque<(String, Code)>>,
    /// Tokens that come back to be exchanged are validated like any other.
    own: Validator<FixedKeys>,
}

impl Authority {
    /// An authority that will answer there, with these clients: their ids, the seconds that their tokens live, and their secrets.
    pub(super) fn new(
        address: SocketAddr,
        clients: impl IntoIterator<Item = (&'static str, u64, Option<String>)>,
    ) -> Result<Self, DemoError> {
        let key = Ed25519KeyPair::generate().map_err(|_| DemoError::Randomness)?;
        let (issuer, kid) = (format!("http://{address}"), random::<8>()?);
        let itself = IssuerBuilder::new(IssuerKind::Static, "itself", issuer.clone())
            .jwks(jwks(&key, &kid))
            .audiences([AUDIENCE])
            .algorithms([Algorithm::EdDsa])
            .claims(issuer_claims());
        let registry = Registry::new([itself]).map_err(DemoError::set_up("the authority"))?;
        let own = Validator::fixed(&registry).map_err(DemoError::set_up("the authority"))?;
        let client = |(id, lifetime, secret)| Client { id, lifetime, secret };
        let clients = clients.into_iter().map(client).collect();
        Ok(Self { issuer, kid, key, clients, codes: Mutex::default(), own })
    }

    /// What it calls itself, which is also where it is.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What answers at its address.
    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/jwks", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::clone(self))
    }

    /// What a code was given for, which is told once.
    fn redeem(&self, code: &str) -> Option<Code> {
        let mut codes = self.codes();
        let place = codes.iter().position(|(known, _)| known == code)?;
        codes.remove(place).map(|(_, code)| code)
    }

    fn keep(&self, code: String, signed_in: Code) {
        let mut codes = self.codes();
        if codes.len() >= CODES {
            codes.pop_front();
        }
        codes.push_back((code, signed_in));
    }

    fn codes(&self) -> MutexGuard<'_, VecDeque<(String, Code)>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// A token of these claims and those that every one has, which ends at `most` at the latest.
    fn sign(&self, client: &Client, claims: Value, most: u64) -> Result<Issued, Denied> {
        let now = SystemClock.now().0;
        let ends = most.min(now + client.lifetime);
        let mut all = json!({
            "iss": self.issuer, "aud": AUDIENCE, "client_id": client.id, "tid": "acme",
            "jti": random::<16>().map_err(|_| Denied("server_error"))?, "iat": now, "exp": ends,
        });
        if let (Value::Object(all), Value::Object(claims)) = (&mut all, claims) {
            all.extend(claims);
        }
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.kid});
        let [header, payload] = [header, all].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        Ok(Issued { token: format!("{signed}.{signature}"), lifetime: ends.saturating_sub(now) })
    }

    async fn issue(&self, client: &Client, form: &TokenForm) -> Result<Issued, Denied> {
        match form.grant_type.as_str() {
            CODE => {
                let code = form.code.as_deref().and_then(|code| self.redeem(code));
                let digest = Sha256::digest(form.code_verifier.as_deref().unwrap_or_default());
                let code = code
                    .filter(|code| code.client == client.id)
                    .filter(|code| Some(&code.redirect) == form.redirect_uri.as_ref())
                    .filter(|code| code.challenge == URL_SAFE_NO_PAD.encode(digest))
                    .ok_or(Denied("invalid_grant"))?;
                self.sign(client, json!({"sub": code.user, "kind": "user"}), u64::MAX)
            }
            CLIENT if client.secret.is_some() => {
                self.sign(client, json!({"sub": client.id, "kind": "agent"}), u64::MAX)
            }
            EXCHANGE if client.secret.is_some() => {
                let subject = self.sent(form.subject_token.as_deref()).await?;
                let actor = self.sent(form.actor_token.as_deref()).await?;
                let (subject, actor) = (subject.principal(), actor.principal());
                // Who shows somebody else's token as its own, or acts for somebody who acts for a third, is turned away.
                if actor.id != client.id || !subject.actors.is_empty() {
                    return Err(Denied("invalid_request"));
                }
                let act = json!({"sub": actor.id, "kind": actor.kind.as_str()});
                let claims = json!({"sub": subject.id, "kind": subject.kind.as_str(), "act": act});
                self.sign(client, claims, subject.expiry.0)
            }
            _ => Err(Denied("unsupported_grant_type")),
        }
    }

    /// A token of ours that came back.
    async fn sent(&self, token: Option<&str>) -> Result<Arc<Verified>, Denied> {
        let token = Token::new(token.ok_or(Denied("invalid_request"))?);
        match self.own.validate(&token, Credential::AccessToken).await {
            Ok(Validated::Verified(verified)) => Ok(verified),
            Ok(Validated::Refused(_)) | Err(_) => Err(Denied("invalid_grant")),
        }
    }
}

fn jwks(key: &Ed25519KeyPair, kid: &str) -> String {
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": x}]}).to_string()
}

/// What a client gets.
struct Issued {
    token: String,
    lifetime: u64,
}

/// What a client gets instead (RFC 6749 section 5.2).
struct Denied(&'static str);

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({"error": self.0}))).into_response()
    }
}

async fn metadata(State(authority): State<Arc<Authority>>) -> Json<Value> {
    let issuer = &authority.issuer;
    Json(json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"), "token_endpoint": format!("{issuer}/token"),
        "authorization_endpoint": format!("{issuer}/authorize"), "response_types_supported": ["code"],
        "grant_types_supported": [CODE, CLIENT, EXCHANGE], "code_challenge_methods_supported": ["S256"],
    }))
}

async fn keys(State(authority): State<Arc<Authority>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/jwk-set+json")], jwks(&authority.key, &authority.kid))
}

#[derive(Deserialize)]
struct AuthorizeAsk {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    code_challenge: String,
    code_challenge_method: String,
    login_hint: String,
}

async fn authorize(
    State(authority): State<Arc<Authority>>,
    Query(ask): Query<AuthorizeAsk>,
) -> Result<Response, Denied> {
    let known = authority.client(&ask.client_id).is_some_and(|client| client.secret.is_none());
    if !known || (&*ask.response_type, &*ask.code_challenge_method) != ("code", "S256") {
        return Err(Denied("invalid_request"));
    }
    let code = random::<16>().map_err(|_| Denied("server_error"))?;
    let location = format!("{}?code={code}", ask.redirect_uri);
    let signed_in = Code {
        user: ask.login_hint,
        client: ask.client_id,
        redirect: ask.redirect_uri,
        challenge: ask.code_challenge,
    };
    authority.keep(code, signed_in);
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
}

#[derive(Deserialize)]
struct TokenForm {
    grant_type: String,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    code: Option<String>,
    code_verifier: Option<String>,
    subject_token: Option<String>,
    actor_token: Option<String>,
}

async fn token(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    Form(form): Form<TokenForm>,
) -> Result<Response, Denied> {
    let (id, secret) = match headers.get(header::AUTHORIZATION) {
        Some(basic) => basic_credentials(basic.as_bytes()).ok_or(Denied("invalid_client"))?,
        None => (form.client_id.clone().unwrap_or_default(), None),
    };
    let client = authority.client(&id).filter(|client| client.secret == secret);
    let client = client.ok_or(Denied("invalid_client"))?;
    let Issued { token, lifetime } = authority.issue(client, &form).await?;
    let mut answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime});
    if let (EXCHANGE, Value::Object(answer)) = (&*form.grant_type, &mut answer) {
        answer.insert("issued_token_type".to_owned(), ACCESS_TOKEN.into());
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Ids and secrets here are of letters that a form leaves as they are.
fn basic_credentials(value: &[u8]) -> Option<(String, Option<String>)> {
    let decoded = STANDARD.decode(value.strip_prefix(b"Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((id.to_owned(), Some(secret.to_owned())))
}
