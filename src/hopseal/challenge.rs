//! The text of `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7.1).

use std::fmt;

use crate::Reason;
use crate::secret::Scheme;

/// A challenge: what a client that was turned away needs to know, and no more.
///
/// ```
/// use hopseal::{Challenge, Reason, Scheme};
/// let challenge = Challenge::new(Scheme::Bearer).realm("orders").refused(Reason::Expired);
/// assert_eq!(challenge.status(), 401);
/// assert_eq!(
///     challenge.to_string(),
///     r#"Bearer realm="orders", error="invalid_token", error_description="the token has expired""#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: Scheme,
    realm: Option<String>,
    fault: Option<Fault>,
    algorithms: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    Refused(Reason),
    Scope(String),
}

impl Challenge {
    /// A challenge to a request that brought no credential: it gets no error code (RFC 6750 section 3.1).
    #[must_use]
    pub const fn new(scheme: Scheme) -> Self {
        Self { scheme, realm: None, fault: None, algorithms: Vec::new() }
    }

    /// Names what is protected.
    #[must_use]
    pub fn realm(mut self, realm: &str) -> Self {
        self.realm = Some(realm.to_owned());
        self
    }

    /// The credential was refused.
    #[must_use]
    pub fn refused(mut self, reason: Reason) -> Self {
        self.fault = Some(Fault::Refused(reason));
        self
    }

    /// The credential is good and not enough: these scopes, separated by spaces, are needed.
    #[must_use]
    pub fn scope_needed(mut self, scope: &str) -> Self {
        self.fault = Some(Fault::Scope(scope.to_owned()));
        self
    }

    /// The algorithms of proofs that are accepted (`algs`, RFC 9449 section 7.1). Left out of a `Bearer` challenge.
    #[must_use]
    pub fn proof_algorithms(mut self, names: &[&'static str]) -> Self {
        self.algorithms = names.to_vec();
        self
    }

    /// The status to answer with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.fault {
            Some(Fault::Scope(_)) => 403,
            Some(Fault::Refused(_)) | None => 401,
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parameters: Vec<(&str, String)> = Vec::new();
        if let Some(realm) = &self.realm {
            parameters.push(("realm", escaped(realm)));
        }
        match &self.fault {
            Some(Fault::Refused(reason)) => {
                parameters.push(("error", error_code(*reason).to_owned()));
                parameters.push(("error_description", reason.told().to_owned()));
            }
            Some(Fault::Scope(scope)) => {
                parameters.push(("error", "insufficient_scope".to_owned()));
                parameters.push(("scope", escaped(scope)));
            }
            None => {}
        }
        if self.scheme == Scheme::Dpop && !self.algorithms.is_empty() {
            parameters.push(("algs", self.algorithms.join(" ")));
        }
        f.write_str(match self.scheme {
            Scheme::Bearer => "Bearer",
            Scheme::Dpop => "DPoP",
        })?;
        for (place, (name, value)) in parameters.into_iter().enumerate() {
            let before = if place == 0 { " " } else { ", " };
            write!(f, "{before}{name}=\"{value}\"")?;
        }
        Ok(())
    }
}

/// RFC 6750 section 3.1; for proofs RFC 9449 sections 7.1 and 9.
const fn error_code(reason: Reason) -> &'static str {
    match reason {
        Reason::Nonce => "use_dpop_nonce",
        Reason::Proof | Reason::Replayed => "invalid_dpop_proof",
        _ => "invalid_token",
    }
}

/// The inside of a quoted string (RFC 9110 section 5.6.4); what must not stand in a header is left out.
fn escaped(text: &str) -> String {
    let mut inside = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| matches!(letter, ' '..='~')) {
        if matches!(letter, '"' | '\\') {
            inside.push('\\');
        }
        inside.push(letter);
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = || Challenge::new(Scheme::Bearer);
        for (challenge, status, text) in [
            (bearer(), 401, "Bearer"),
            (bearer().realm("a\"b\\c\r\nd"), 401, r#"Bearer realm="a\"b\\cd""#),
            (
                bearer().refused(Reason::Signature),
                401,
                r#"Bearer error="invalid_token", error_description="the signature is not valid""#,
            ),
            (
                bearer().scope_needed("read write"),
                403,
                r#"Bearer error="insufficient_scope", scope="read write""#,
            ),
            (
                Challenge::new(Scheme::Dpop).refused(Reason::Nonce),
                401,
                r#"DPoP error="use_dpop_nonce", error_description="the proof must hold the nonce that was sent""#,
            ),
            (bearer().proof_algorithms(&["ES256"]), 401, "Bearer"),
            (
                Challenge::new(Scheme::Dpop).proof_algorithms(&["ES256", "EdDSA"]),
                401,
                r#"DPoP algs="ES256 EdDSA""#,
            ),
        ] {
            assert_eq!((challenge.status(), challenge.to_string().as_str()), (status, text));
        }
    }
}
