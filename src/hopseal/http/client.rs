//! The client over `reqwest`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use zeroize::Zeroizing;

use super::address::{AddressFault, Reach};
use super::message::{Answer, Fetch, Fetching, HttpFault, Request};

/// Settings of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpSettings {
    /// Longest time from the look-up of the name to the last byte of the answer. Default 5 s.
    pub timeout: Duration,
    /// Certificates of authorities in PEM that are trusted besides the system's, such as a cluster's own. Default none.
    pub roots: Option<Vec<u8>>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), roots: None }
    }
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The certificates of authorities cannot be read.
    #[error("no certificates in PEM")]
    Roots,
    /// TLS cannot be set up.
    #[error("could not set up the client: {0}")]
    Client(String),
}

/// A client over `reqwest`, with TLS by `rustls`. It is cheap to clone and keeps its connections.
#[derive(Clone)]
pub struct Http {
    named: Client,
    loopback: Client,
    public: Client,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl Http {
    /// Makes a client.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpError> {
        let roots = match &settings.roots {
            None => Vec::new(),
            Some(pem) => match Certificate::from_pem_bundle(pem) {
                Ok(roots) if !roots.is_empty() => roots,
                Ok(_) | Err(_) => return Err(HttpError::Roots),
            },
        };
        // Names are looked up by the client, so each reach has a client whose look-up knows it.
        let client = |reach| {
            Client::builder()
                .user_agent(concat!("hopseal/", env!("CARGO_PKG_VERSION")))
                .timeout(settings.timeout)
                .redirect(Policy::none())
                .referer(false)
                .no_proxy()
                .https_only(reach != Reach::Loopback)
                .dns_resolver(Guard(reach))
                .tls_certs_merge(roots.clone())
                .build()
                .map_err(|error| HttpError::Client(causes(&error)))
        };
        Ok(Self {
            named: client(Reach::Named)?,
            loopback: client(Reach::Loopback)?,
            public: client(Reach::Public)?,
        })
    }

    async fn send(&self, request: Request) -> Result<Answer, HttpFault> {
        let client = match request.address.reach() {
            Reach::Named => &self.named,
            Reach::Loopback => &self.loopback,
            Reach::Public => &self.public,
        };
        let url = request.address.url();
        let mut building = match request.body {
            None => client.get(url),
            Some((kind, mut body)) => {
                client.post(url).header("content-type", kind).body(std::mem::take(&mut *body))
            }
        };
        for (name, value) in &request.headers {
            building = building.header(*name, value.as_str());
        }
        let mut response = building.send().await.map_err(fault)?;
        let body = body(&mut response, request.max_bytes).await?;
        let headers = response.headers().iter();
        let readable = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        Ok(Answer { status: response.status().as_u16(), headers: readable.collect(), body })
    }
}

impl Fetch for Http {
    fn fetch(&self, request: Request) -> Fetching<'_> {
        Box::pin(self.send(request))
    }
}

async fn body(response: &mut Response, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, HttpFault> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).map_or(true, |bytes| bytes > max_bytes) {
        return Err(HttpFault::TooLarge(max_bytes));
    }
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if chunk.len() > max_bytes - body.len() {
            return Err(HttpFault::TooLarge(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Looks names up, and leaves out machines that may not be asked. What is asked then is what was checked.
struct Guard(Reach);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let none = found.is_empty();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() && !none {
                return Err(AddressFault::Machine.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn fault(error: reqwest::Error) -> HttpFault {
    if error.is_timeout() {
        return HttpFault::Timeout;
    }
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(source) = cause {
        if let Some(fault) = source.downcast_ref::<AddressFault>() {
            return HttpFault::Address(*fault);
        }
        if source.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return HttpFault::Timeout;
        }
        cause = source.source();
    }
    HttpFault::Connection(causes(&error))
}

/// An error and what caused it, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Address;

    #[test]
    fn roots_are_read_or_told() {
        let settings = |pem: &[u8]| HttpSettings { roots: Some(pem.to_vec()), ..HttpSettings::default() };
        assert!(matches!(Http::new(&settings(b"")), Err(HttpError::Roots)));
        assert!(Http::new(&HttpSettings::default()).is_ok());
    }

    /// `localhost` is this machine by name: what the text does not tell, the look-up does.
    #[tokio::test]
    async fn names_of_machines_that_may_not_be_asked_are_caught_when_looked_up() {
        let http = Http::new(&HttpSettings::default()).expect("a client");
        for reach in [Reach::Named, Reach::Public] {
            let address = Address::parse("https://localhost:9/jwks", reach).expect("an address");
            let fault = http.fetch(Request::get(address, 10)).await.expect_err("may not be asked");
            assert_eq!(fault, HttpFault::Address(AddressFault::Machine));
        }
    }
}
