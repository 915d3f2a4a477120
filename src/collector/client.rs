//! Asks a service by its query API: for `top`, and for `trail` with an `--url`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::blocking::Client;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity, StatusCode};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::check::Exit;
use crate::here::is_here;
use crate::output::clean;
use crate::output::read::ReadProblem;

/// How long is waited for an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A service cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AskError {
    /// There can be no service there.
    #[error("`--url` is no address of a service: write http://127.0.0.1:8317")]
    Address,
    /// Others could read the token.
    #[error("the token would be read on the way: write an `--url` with https")]
    Plain,
    /// The token cannot be had.
    #[error("cannot read a token from `{}`", path.display())]
    Token {
        /// Where it should be.
        path: PathBuf,
        /// Why, unless it is none.
        #[source]
        source: Option<std::io::Error>,
    },
    /// What asks cannot be made.
    #[error("cannot ask")]
    Client(#[source] reqwest::Error),
    /// There is no answer.
    #[error("the service does not answer")]
    Asked(#[source] reqwest::Error),
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no certificate, or none with its key.
    #[error("`{}` is no certificate that can be used", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
    },
    /// Certificates are for TLS alone.
    #[error("certificates are shown by https alone: write an `--url` with https")]
    NoTls,
    /// It does not say.
    #[error("the service answers {status}{}{why}", if why.is_empty() { "" } else { ": " })]
    Refused {
        /// What HTTP calls it.
        status: StatusCode,
        /// What the service says of it.
        why: String,
    },
    /// It says something else.
    #[error("the service does not answer as a service of this version does")]
    Read(#[source] reqwest::Error),
}

impl AskError {
    /// The exit status: an address, token or certificate that cannot be used is 2, a service that does not answer is 3.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Address
            | Self::Token { .. }
            | Self::Plain
            | Self::NoTls
            | Self::File { .. }
            | Self::Certificate { .. } => Exit::Usage,
            Self::Client(_) | Self::Asked(_) | Self::Refused { .. } | Self::Read(_) => Exit::Unreadable,
        }
    }
}

/// By what the service is believed, and who asks proves who they are.
#[derive(Debug, Default, Args)]
pub(crate) struct Proofs {
    /// A file with an access token, for a service that asks who asks it; not shown over plain http beyond this machine.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Authorities that may have signed the service's certificate (PEM), in place of those of this machine.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A client certificate and those between it and its authority (PEM), for a service that asks for one.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of `--cert` (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Proofs {
    /// Whether there are any.
    pub(crate) const fn are_given(&self) -> bool {
        self.token.is_some() || self.ca.is_some() || self.cert.is_some()
    }
}

/// A service, and how it is asked.
pub(crate) struct Service {
    client: Client,
    url: String,
    token: Option<HeaderValue>,
}

impl Service {
    pub(crate) fn new(url: &str, proofs: &Proofs) -> Result<Self, AskError> {
        let parsed = reqwest::Url::parse(url).map_err(|_| AskError::Address)?;
        // What stands there is shown.
        let names_user = !parsed.username().is_empty() || parsed.password().is_some();
        let is_more = parsed.query().is_some() || parsed.fragment().is_some();
        if !matches!(parsed.scheme(), "http" | "https") || names_user || is_more {
            return Err(AskError::Address);
        }
        if proofs.token.is_some() && parsed.scheme() == "http" && !parsed.host_str().is_some_and(is_here) {
            return Err(AskError::Plain);
        }
        if (proofs.ca.is_some() || proofs.cert.is_some()) && parsed.scheme() == "http" {
            return Err(AskError::NoTls);
        }
        let mut client = Client::builder().redirect(Policy::none()).timeout(ANSWER);
        if let Some(path) = &proofs.ca {
            client = client.tls_certs_only(authorities(path)?);
        }
        if let Some((cert, key)) = proofs.cert.as_deref().zip(proofs.key.as_deref()) {
            client = client.identity(identity(cert, key)?);
        }
        Ok(Self {
            client: client.build().map_err(AskError::Client)?,
            url: url.trim_end_matches('/').to_owned(),
            token: proofs.token.as_deref().map(token).transpose()?,
        })
    }

    /// What the query API answers.
    pub(crate) fn get<T: DeserializeOwned>(&self, what: &str, query: &[(&str, &str)]) -> Result<T, AskError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let mut request = self.client.get(format!("{}/api/v1/{what}?{query}", self.url));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let response = request.send().map_err(AskError::Asked)?;
        match response.status() {
            StatusCode::OK => response.json().map_err(AskError::Read),
            status => {
                let problem: ReadProblem = response.json().unwrap_or_default();
                Err(AskError::Refused { status, why: clean(&problem.error).to_string() })
            }
        }
    }
}

fn file(path: &Path) -> Result<Zeroizing<Vec<u8>>, AskError> {
    let wrong = |source| AskError::File { path: path.to_owned(), source };
    std::fs::read(path).map(Zeroizing::new).map_err(wrong)
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, AskError> {
    let wrong = || AskError::Certificate { path: path.to_owned() };
    let all = Certificate::from_pem_bundle(&file(path)?).map_err(|_| wrong())?;
    if all.is_empty() { Err(wrong()) } else { Ok(all) }
}

fn identity(cert: &Path, key: &Path) -> Result<Identity, AskError> {
    let mut pem = file(key)?;
    pem.push(b'\n');
    pem.extend_from_slice(&file(cert)?);
    Identity::from_pem(&pem).map_err(|_| AskError::Certificate { path: cert.to_owned() })
}

fn token(path: &Path) -> Result<HeaderValue, AskError> {
    let wrong = |source| AskError::Token { path: path.to_owned(), source };
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|source| wrong(Some(source)))?);
    let token = Some(text.trim()).filter(|token| !token.is_empty()).ok_or_else(|| wrong(None))?;
    let value = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::try_from(&*value).map_err(|_| wrong(None))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_token_is_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let [token, broken, empty] = ["token", "broken", "empty"].map(|name| folder.path().join(name));
        std::fs::write(&empty, " \n").expect("written");
        std::fs::write(&token, "t0ken\n").expect("written");
        std::fs::write(&broken, "two\nlines").expect("written");
        let ask = |url: &str, token: Option<&Path>| {
            let proofs = Proofs { token: token.map(Path::to_owned), ..Proofs::default() };
            Service::new(url, &proofs).err().map(|error| error.to_string())
        };
        assert_eq!(ask("http://127.0.0.1:8317", Some(&token)), None);
        assert_eq!(ask("https://hopseal.internal/", Some(&token)), None);
        assert_eq!(ask("http://hopseal.internal", None), None);
        for (url, token, said) in [
            ("http://hopseal.internal", Some(&*token), "read on the way"),
            ("127.0.0.1:8317", None, "no address"),
            ("ftp://127.0.0.1", None, "no address"),
            ("http://127.0.0.1/?token=x", None, "no address"),
            ("http://alice:secret@127.0.0.1", None, "no address"),
            ("http://127.0.0.1/#x", None, "no address"),
            ("https://hopseal.internal", Some(&broken), "cannot read a token"),
            ("https://hopseal.internal", Some(&empty), "cannot read a token"),
            ("https://hopseal.internal", Some(&folder.path().join("none")), "cannot read a token"),
        ] {
            let error = ask(url, token).expect(said);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn certificates_that_cannot_be_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").expect("written");
        let none = folder.path().join("none");
        for (url, ca, cert, said) in [
            ("http://127.0.0.1", Some(&empty), None, "by https alone"),
            ("http://127.0.0.1", None, Some(&empty), "by https alone"),
            ("https://127.0.0.1", Some(&empty), None, "is no certificate"),
            ("https://127.0.0.1", None, Some(&empty), "is no certificate"),
            ("https://127.0.0.1", Some(&none), None, "cannot read"),
            ("https://127.0.0.1", None, Some(&none), "cannot read"),
        ] {
            let proofs = Proofs {
                token: None,
                ca: ca.cloned(),
                cert: cert.cloned(),
                key: cert.map(|_| empty.clone()),
            };
            let error = Service::new(url, &proofs).err().expect(said);
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!(error.exit(), Exit::Usage, "{error}");
        }
    }

    #[test]
    fn nobody_there() {
        let service = Service::new("http://127.0.0.1:9", &Proofs::default()).expect("an address");
        let asked = service.get::<serde_json::Value>("edges", &[]);
        assert!(matches!(asked, Err(AskError::Asked(_))));
    }
}
