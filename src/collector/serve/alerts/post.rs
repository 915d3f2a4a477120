//! One request to somebody who is told, and what its answer means.

use std::cell::Cell;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method};
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::redirect::Policy;
use zeroize::Zeroizing;

use super::AlertError;
use super::settings::{Patience, ReceiverSettings};
use crate::serve::clock::Clock;

/// What the names of secrets begin with (Standard Webhooks).
const PREFIX: &str = "whsec_";
/// Bytes of a secret, as it says there.
const SECRET: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a file with secrets, at most.
const FILE: u64 = 4096;
/// Bytes of an answer that are read, so that the connection can be used again. Nobody looks at them.
const ANSWER: u64 = 16 * 1024;

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");

/// Sends to one receiver.
pub(super) struct Post {
    receiver: ReceiverSettings,
    /// Whether it said that it wants to be told.
    is_allowed: Cell<bool>,
    client: Client,
    clock: Arc<dyn Clock>,
}

/// It was not taken, and should be tried again.
#[derive(Debug)]
pub(super) struct Later {
    /// After how long, where the receiver says so.
    pub(super) after: Option<Duration>,
    /// Holds nothing of the address or of what was sent.
    pub(super) why: String,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was taken.
    Yes,
    /// It was understood and is not wanted: another try would end alike.
    Never(StatusCode),
}

/// Whether the files of a receiver can be used.
pub(super) fn check(receiver: &ReceiverSettings) -> Result<(), AlertError> {
    keys(receiver)?;
    token(receiver).map(drop)
}

fn read(
    what: &'static str,
    receiver: &ReceiverSettings,
    path: &Path,
) -> Result<Zeroizing<String>, AlertError> {
    let mut text = Zeroizing::new(String::new());
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(source) => {
            Err(AlertError::Read { what, receiver: receiver.name.clone(), path: path.to_owned(), source })
        }
    }
}

/// The keys that events are signed with: one a line, each in force, so that one can be replaced by another.
fn keys(receiver: &ReceiverSettings) -> Result<Vec<hmac::Key>, AlertError> {
    let Some(path) = &receiver.secret else { return Ok(Vec::new()) };
    let what = "secret";
    let text = read(what, receiver, path)?;
    let key = |line: &str| {
        let bytes = Zeroizing::new(STANDARD.decode(line.trim().strip_prefix(PREFIX)?).ok()?);
        SECRET.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let keys: Option<Vec<_>> = lines.map(key).collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| AlertError::Secret {
        what,
        receiver: receiver.name.clone(),
        path: path.clone(),
        reason: "write `whsec_` and 24 to 64 random bytes as base64, one secret a line",
    })
}

fn token(receiver: &ReceiverSettings) -> Result<Option<HeaderValue>, AlertError> {
    let Some(path) = &receiver.token else { return Ok(None) };
    let what = "token";
    let text = read(what, receiver, path)?;
    let value = Some(text.trim()).filter(|text| !text.is_empty() && !text.contains(' '));
    let header =
        value.and_then(|text| HeaderValue::try_from(&*Zeroizing::new(format!("Bearer {text}"))).ok());
    let mut header = header.ok_or_else(|| AlertError::Secret {
        what,
        receiver: receiver.name.clone(),
        path: path.clone(),
        reason: "write one token (RFC 6750)",
    })?;
    header.set_sensitive(true);
    Ok(Some(header))
}

impl Post {
    pub(super) fn new(
        receiver: ReceiverSettings,
        patience: &Patience,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AlertError> {
        let client = Client::builder()
            // What is meant for one host is for no other, and a redirect is a fault of the address (CloudEvents' webhooks, 2.2).
            .redirect(Policy::none())
            .timeout(patience.answer)
            .user_agent(concat!("hopseal/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(AlertError::Client)?;
        Ok(Self { receiver, is_allowed: Cell::new(false), client, clock })
    }

    /// Asks whether we may tell it anything: once, as long as it says yes (CloudEvents' webhooks, 4).
    fn ask(&self, origin: &HeaderValue) -> Result<(), Later> {
        if self.is_allowed.get() {
            return Ok(());
        }
        let request = self.client.request(Method::OPTIONS, self.receiver.address.url().clone());
        let response = request.header(REQUEST_ORIGIN, origin).send().map_err(not_sent)?;
        let allowed = response.headers().get(ALLOWED_ORIGIN);
        // A status says nothing: many answer this method without a thought.
        if !allowed.is_some_and(|allowed| allowed == "*" || allowed == origin) {
            return Err(Later { after: None, why: "it does not say that it wants to be told".to_owned() });
        }
        self.is_allowed.set(true);
        Ok(())
    }

    /// Sends a body; `id` stays the same however often it is sent.
    pub(super) fn send(&self, id: &str, media_type: &'static str, body: Vec<u8>) -> Result<Taken, Later> {
        let unusable = |error: AlertError| Later { after: None, why: error.to_string() };
        let mut request =
            self.client.post(self.receiver.address.url().clone()).header(CONTENT_TYPE, media_type);
        if let Some(origin) = &self.receiver.origin {
            self.ask(origin)?;
            request = request.header(REQUEST_ORIGIN, origin);
        }
        // Read each time: they are replaced while the service runs.
        if let Some(token) = token(&self.receiver).map_err(unusable)? {
            request = request.header(AUTHORIZATION, token);
        }
        let keys = keys(&self.receiver).map_err(unusable)?;
        if !keys.is_empty() {
            let at = (self.clock.now() / 1_000_000_000).to_string();
            let signature = sign(&keys, id, &at, &body);
            request = request.header("webhook-id", id).header("webhook-timestamp", at);
            request = request.header("webhook-signature", signature);
        }
        match request.body(body).send() {
            Ok(response) => answer(response),
            Err(error) => Err(not_sent(error)),
        }
    }
}

fn not_sent(error: reqwest::Error) -> Later {
    // The address may hold a secret.
    Later { after: None, why: crate::serve::live::chain(&error.without_url()) }
}

/// As of Standard Webhooks: what was sent, when and what, by each key.
fn sign(keys: &[hmac::Key], id: &str, at: &str, body: &[u8]) -> String {
    let signed = [id.as_bytes(), b".", at.as_bytes(), b".", body].concat();
    let one = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, &signed)));
    keys.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn answer(response: Response) -> Result<Taken, Later> {
    let status = response.status();
    let seconds =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let _ = std::io::copy(&mut response.take(ANSWER), &mut std::io::sink());
    match status {
        status if status.is_success() => Ok(Taken::Yes),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Ok(Taken::Never(status)),
        // It is said to be there no more, and is asked as rarely as can be.
        StatusCode::GONE => Err(Later { after: Some(Duration::MAX), why: "it answered 410".to_owned() }),
        // Whoever is asked by mistake, or mends its credentials, is told once that is done.
        status => {
            let after = seconds.map(Duration::from_secs);
            Err(Later { after, why: format!("it answered {}", status.as_u16()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification of Standard Webhooks: its example of a signature, made with `MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let body = br#"{"test": 2432232314}"#;
        let signature = sign(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
