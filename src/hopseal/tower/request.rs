//! What of a request says who calls.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use opentelemetry::propagation::Extractor;

use crate::Reason;
use crate::outcome::Refused;
use crate::secret::Token;

/// Headers for a propagator, every one of a name. A header that is not visible ASCII is passed over alone.
pub(super) struct Headers<'r>(pub(super) &'r HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let mut values = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok()).peekable();
        values.peek()?;
        Some(values.collect())
    }
}

/// The credential of a request, if it brings one. Of two, which is meant would depend on who looks.
pub(super) fn token(headers: &HeaderMap) -> Result<Option<Token>, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return match headers.contains_key(AUTHORIZATION) {
            true => Err(Refused::new(Reason::Duplicate, "more than one `Authorization`")),
            false => Ok(None),
        };
    };
    let malformed = || Refused::new(Reason::Malformed, "no credential in `Authorization`");
    let text = value.to_str().map_err(|_| malformed())?;
    let scheme = text.split(' ').next().unwrap_or(text);
    match scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop") {
        true => Token::from_authorization(text).map(Some).ok_or_else(malformed),
        // Another scheme is for somebody else to judge.
        false => Ok(None),
    }
}
