//! What of the headers of a request is somebody's identity.

use hopseal_identity::baggage::Baggage;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::Injector;

use crate::otel::Travelling;
use crate::secret::{Fingerprint, Token};
use crate::tower::TXN_TOKEN;

pub(super) const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// Shorter words are no tokens.
const MIN_TOKEN: usize = 16;

/// Takes what a propagator writes.
pub(super) struct Written<'h>(pub(super) &'h mut HeaderMap);

impl Injector for Written<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// Takes what a propagator of somebody else's making writes: never baggage, and nothing that the request has already.
pub(super) struct Further<'h>(pub(super) &'h mut HeaderMap);

impl Injector for Further<'_> {
    fn set(&mut self, key: &str, value: String) {
        if !key.eq_ignore_ascii_case(BAGGAGE.as_str()) && !self.0.contains_key(key) {
            Written(self.0).set(key, value);
        }
    }
}

/// Takes off the identity that is there, and puts another, or none, in its place; members of others stay as they are. Whether an
/// identity was there.
pub(super) fn replace_identity(headers: &mut HeaderMap, identity: Option<&Travelling>) -> bool {
    let was = headers.get_all(BAGGAGE).iter().filter_map(|value| value.to_str().ok());
    let read = Baggage::read(was);
    let found = read.encrypted.is_some() || !matches!(read.identity, Ok(None));
    let mut writer = Travelling::write(identity);
    for entry in &read.others {
        writer.pass_on(entry);
    }
    let text = writer.finish();
    headers.remove(BAGGAGE);
    if let Some(value) = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty()) {
        headers.insert(BAGGAGE, value);
    }
    found
}

/// Takes off every header that holds the token of that fingerprint, and transaction tokens, unless the rule is for those; whether there
/// were any.
pub(super) fn take_tokens(headers: &mut HeaderMap, token: Option<Fingerprint>, in_transaction: bool) -> bool {
    let mut found = !in_transaction && headers.remove(TXN_TOKEN).is_some();
    let Some(token) = token else { return found };
    let holds = |value: &HeaderValue| {
        let Ok(text) = value.to_str() else { return false };
        // The whole of it, or what stands after a scheme.
        text.split([' ', ',', ';', '=', '"'])
            .chain([text])
            .any(|word| word.len() >= MIN_TOKEN && Token::new(word).fingerprint() == token)
    };
    let may_hold = |name: &HeaderName| !in_transaction || *name != TXN_TOKEN;
    let names: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| may_hold(name) && holds(value))
        .map(|(name, _)| name.clone())
        .collect();
    found |= !names.is_empty();
    for name in names {
        headers.remove(name);
    }
    found
}

/// Sends the transaction token along that came, as it came, unless the application chose another, or a credential: one beside a
/// credential is refused.
pub(super) fn continue_transaction(headers: &mut HeaderMap, token: &Token) {
    if headers.contains_key(TXN_TOKEN) || headers.contains_key(AUTHORIZATION) {
        return;
    }
    if let Ok(mut value) = HeaderValue::try_from(token.expose()) {
        value.set_sensitive(true);
        headers.insert(TXN_TOKEN, value);
    }
}

/// Sends a token along, unless the application chose a credential itself.
pub(super) fn authorize(headers: &mut HeaderMap, token: &Token) {
    if headers.contains_key(AUTHORIZATION) {
        return;
    }
    if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", token.expose())) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}
