//! What of a request says who calls.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use opentelemetry::propagation::Extractor;

use crate::Reason;
use crate::outcome::Refused;
use crate::secret::{Scheme, Token};

/// Where a transaction token travels (draft-ietf-oauth-transaction-tokens section 9.3.1).
pub(crate) const TXN_TOKEN: HeaderName = HeaderName::from_static("txn-token");

/// Headers for a propagator, every one of a name. A header that is not visible ASCII is passed over alone.
pub(super) struct Headers<'r>(pub(super) &'r HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let mut values = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok()).peekable();
        values.peek()?;
        Some(values.collect())
    }
}

/// A credential as it came, with what of its request a verifier needs besides.
#[derive(Debug)]
pub struct Presented {
    pub(super) token: Token,
    pub(super) is_transaction: bool,
    pub(super) proof: Option<Proof>,
    pub(super) certificate: Option<[u8; 32]>,
}

/// A DPoP proof and what it must be a proof for.
#[derive(Debug)]
pub(super) struct Proof {
    token: Token,
    method: String,
    uri: String,
}

impl Presented {
    /// A credential that came under the scheme `Bearer`.
    #[must_use]
    pub const fn bearer(token: Token) -> Self {
        Self { token, is_transaction: false, proof: None, certificate: None }
    }

    /// The credential.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// Whether it came as a transaction token, in the header `Txn-Token`: such a token is nothing else, and nothing else is one.
    #[must_use]
    pub const fn is_transaction(&self) -> bool {
        self.is_transaction
    }

    /// The scheme it came under.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.token.scheme().unwrap_or(Scheme::Bearer)
    }

    /// SHA-256 of the certificate of the workload that sent it, where one was validated (RFC 8705 section 3).
    #[must_use]
    pub const fn certificate(&self) -> Option<[u8; 32]> {
        self.certificate
    }

    /// The DPoP proof that came with it (RFC 9449), the method of the request and its address as the client knows it.
    #[must_use]
    pub fn proof(&self) -> Option<(&Token, &str, &str)> {
        self.proof.as_ref().map(|proof| (&proof.token, proof.method.as_str(), proof.uri.as_str()))
    }
}

/// The credential of a request, if it brings one. Of two, which is meant would depend on who looks.
pub(super) fn presented<B>(
    request: &http::Request<B>,
    origin: Option<&str>,
    takes_transactions: bool,
) -> Result<Option<Presented>, Refused> {
    let headers = request.headers();
    let transaction = match takes_transactions {
        true => transaction(headers)?,
        false => None,
    };
    let token = match (token(headers)?, transaction) {
        (Some(_), Some(_)) => {
            return Err(Refused::new(Reason::Duplicate, "a transaction token beside another credential"));
        }
        (None, Some(token)) => {
            return Ok(Some(Presented { is_transaction: true, ..Presented::bearer(token) }));
        }
        (None, None) => return Ok(None),
        (Some(token), None) => token,
    };
    // A proof beside the scheme `Bearer` is not to be looked at (RFC 9449 section 7.1).
    let proof = match (token.scheme(), origin) {
        (Some(Scheme::Dpop), Some(origin)) => proof(headers)?.map(|token| Proof {
            token,
            method: request.method().as_str().to_owned(),
            uri: format!("{origin}{}", request.uri().path()),
        }),
        _ => None,
    };
    Ok(Some(Presented { proof, ..Presented::bearer(token) }))
}

/// The one transaction token.
fn transaction(headers: &HeaderMap) -> Result<Option<Token>, Refused> {
    let mut values = headers.get_all(TXN_TOKEN).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(Token::new(text))),
            Err(_) => Err(Refused::new(Reason::Malformed, "no credential in `Txn-Token`")),
        },
        (Some(_), Some(_)) => Err(Refused::new(Reason::Duplicate, "more than one `Txn-Token`")),
    }
}

fn token(headers: &HeaderMap) -> Result<Option<Token>, Refused> {
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
    // Another scheme is for somebody else to judge.
    if !["bearer", "dpop"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Ok(None);
    }
    Token::from_authorization(text).map(Some).ok_or_else(malformed)
}

/// The one `DPoP` header (RFC 9449 section 4.3, 1).
fn proof(headers: &HeaderMap) -> Result<Option<Token>, Refused> {
    let mut values = headers.get_all("dpop").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(Token::new(text))),
            Err(_) => Err(Refused::new(Reason::Proof, "not visible ASCII")),
        },
        (Some(_), Some(_)) => Err(Refused::new(Reason::Proof, "more than one proof")),
    }
}
