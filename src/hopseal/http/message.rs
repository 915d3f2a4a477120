//! A request, its answer, and the seam between.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use zeroize::Zeroizing;

use super::address::Address;

/// A request.
pub struct Request {
    /// Where to.
    pub address: Address,
    /// Header fields, names in lower case.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// A body, which makes it a POST, and its media type.
    pub body: Option<(&'static str, Zeroizing<Vec<u8>>)>,
    /// Most bytes of the answer.
    pub max_bytes: usize,
}

impl Request {
    /// Asks for what is at an address.
    #[must_use]
    pub const fn get(address: Address, max_bytes: usize) -> Self {
        Self { address, headers: Vec::new(), body: None, max_bytes }
    }

    /// Sends a form (`application/x-www-form-urlencoded`).
    #[must_use]
    pub fn form(address: Address, fields: &[(&str, &str)], max_bytes: usize) -> Self {
        let mut text = Zeroizing::new(Vec::new());
        for (name, value) in fields {
            if !text.is_empty() {
                text.push(b'&');
            }
            encode(name, &mut text);
            text.push(b'=');
            encode(value, &mut text);
        }
        Self { body: Some(("application/x-www-form-urlencoded", text)), ..Self::get(address, max_bytes) }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Zeroizing::new(value.into())));
        self
    }
}

/// Header values and bodies may be credentials.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("address", &self.address)
            .field("body", &self.body.as_ref().map(|(kind, body)| (kind, body.len())))
            .finish_non_exhaustive()
    }
}

/// Writes text as forms have it: unreserved characters (RFC 3986 section 2.3) as they are, all else in percent.
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |digit: u8| HEX.get(usize::from(digit)).copied().unwrap_or(b'0');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend([b'%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

/// What came back.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body. May be a credential.
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The first header field of that name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The media type of the body, in lower case, without parameters.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let whole = self.header("content-type")?;
        Some(whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpFault {
    /// The address may not be asked.
    #[error("the address is not allowed")]
    Address(#[source] super::AddressFault),
    /// No connection, or it broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The answer is over the limit.
    #[error("an answer over {0} bytes")]
    TooLarge(usize),
}

impl HttpFault {
    /// In one word, for labels.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Connection(_) => "connection",
            Self::Timeout => "timeout",
            Self::TooLarge(_) => "too_large",
        }
    }
}

/// An answer to come.
pub type Fetching<'f> = Pin<Box<dyn Future<Output = Result<Answer, HttpFault>> + Send + 'f>>;

/// Who sends requests.
///
/// An implementation follows no redirect, stays within [`Request::max_bytes`], comes to an end in bounded time, and asks
/// no machine that [`Reach`](super::Reach) forbids. It may be dropped at any time.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Sends one request.
    fn fetch(&self, request: Request) -> Fetching<'_>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Reach;

    #[test]
    fn forms_are_encoded_and_not_shown() {
        let address = Address::parse("https://a.example/token", Reach::Named).expect("an address");
        let request = Request::form(address, &[("a b", "c&d=\u{e9}"), ("token", "a.b-c_d~e")], 1);
        let (kind, body) = request.body.as_ref().expect("a body");
        assert_eq!(*kind, "application/x-www-form-urlencoded");
        assert_eq!(String::from_utf8_lossy(body), "a%20b=c%26d%3D%C3%A9&token=a.b-c_d~e");
        assert!(!format!("{request:?}").contains("c%26d"), "{request:?}");
    }

    #[test]
    fn a_media_type_is_compared_without_its_parameters() {
        let headers = vec![("content-type".to_owned(), "Application/JSON; charset=utf-8".to_owned())];
        let answer = Answer { status: 200, headers, body: Zeroizing::new(b"secret".to_vec()) };
        assert_eq!(answer.media_type().as_deref(), Some("application/json"));
        assert_eq!(format!("{answer:?}"), "Answer(200, 6 bytes)");
    }
}
