//! Asks a service by its query API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::Client;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::seen::Seen;
use crate::here::is_here;
use crate::output::read::{ReadCoverages, ReadEdges, ReadFindings};
use crate::serve::clock::nanos;

/// How long is waited for an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Findings that are asked for.
const FINDINGS: &str = "50";

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
    /// It does not say.
    #[error("the service answers {0}")]
    Refused(StatusCode),
    /// It says something else.
    #[error("the service does not answer as a service of this version does")]
    Read(#[source] reqwest::Error),
}

/// A service, and how it is asked.
pub(super) struct Asking {
    client: Client,
    url: String,
    token: Option<HeaderValue>,
}

impl Asking {
    pub(super) fn new(url: &str, token: Option<&Path>) -> Result<Self, AskError> {
        let parsed = reqwest::Url::parse(url).map_err(|_| AskError::Address)?;
        // What stands there is shown.
        let names_user = !parsed.username().is_empty() || parsed.password().is_some();
        let is_more = parsed.query().is_some() || parsed.fragment().is_some();
        if !matches!(parsed.scheme(), "http" | "https") || names_user || is_more {
            return Err(AskError::Address);
        }
        if token.is_some() && parsed.scheme() == "http" && !parsed.host_str().is_some_and(is_here) {
            return Err(AskError::Plain);
        }
        let client = Client::builder().redirect(Policy::none()).timeout(ANSWER).build();
        Ok(Self {
            client: client.map_err(AskError::Client)?,
            url: url.trim_end_matches('/').to_owned(),
            token: token.map(read).transpose()?,
        })
    }

    /// What there is of the last so much time.
    pub(super) fn ask(&self, now: u64, period: Duration) -> Result<Seen, AskError> {
        let from = now.saturating_sub(nanos(period)).to_string();
        let edges: ReadEdges = self.get("edges", &[("from_unix_nano", &from)])?;
        let points: ReadCoverages = self.get("coverage", &[("from_unix_nano", &from)])?;
        let findings: ReadFindings = self.get("findings", &[("state", "open"), ("limit", FINDINGS)])?;
        Ok(Seen::of(edges.edges, &points.points, findings.findings, now, period))
    }

    fn get<T: DeserializeOwned>(&self, what: &str, query: &[(&str, &str)]) -> Result<T, AskError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let mut request = self.client.get(format!("{}/api/v1/{what}?{query}", self.url));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let response = request.send().map_err(AskError::Asked)?;
        match response.status() {
            StatusCode::OK => response.json().map_err(AskError::Read),
            status => Err(AskError::Refused(status)),
        }
    }
}

fn read(path: &Path) -> Result<HeaderValue, AskError> {
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
        let ask =
            |url: &str, token: Option<&Path>| Asking::new(url, token).err().map(|error| error.to_string());
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
    fn nobody_there() {
        let asking = Asking::new("http://127.0.0.1:9", None).expect("an address");
        assert!(matches!(asking.ask(0, Duration::from_secs(60)), Err(AskError::Asked(_))));
    }
}
