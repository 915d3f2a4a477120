//! Who is told of findings, as the configuration says it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hopseal_correlate::finding::Severity;
use hopseal_correlate::rule::Rule;
use http::HeaderValue;
use reqwest::Url;

use crate::here::is_here;
use crate::serve::store::FindingRecord;

/// Everything about alerts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AlertSettings {
    pub(crate) receivers: Vec<ReceiverSettings>,
    /// Where our pages are for those who are told, without a slash at the end.
    pub(crate) pages: Option<String>,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiverSettings {
    /// What it is called, here and in the store.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Where to, whole.
    pub(crate) address: Address,
    /// The file with the secrets that events are signed with.
    pub(crate) secret: Option<PathBuf>,
    /// The file with the token that is shown.
    pub(crate) token: Option<PathBuf>,
    /// What we call ourselves, where it is asked first whether it wants to be told.
    pub(crate) origin: Option<HeaderValue>,
    /// Findings at least that grave.
    pub(crate) severity: Severity,
    /// Findings of these rules; of all when empty.
    pub(crate) rules: Vec<Rule>,
}

impl ReceiverSettings {
    /// Whether it wants to be told of that.
    pub(super) fn wants(&self, finding: &FindingRecord) -> bool {
        finding.severity >= self.severity && (self.rules.is_empty() || self.rules.contains(&finding.rule))
    }
}

/// What takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An Alertmanager, by its API v2.
    Alertmanager,
    /// Anything that takes CloudEvents 1.0.
    Webhook,
}

impl Kind {
    /// The word of configurations and metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Webhook => "webhook",
        }
    }
}

/// Where to. What comes after the host may be a secret, as of many webhooks, and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(Url);

impl Address {
    /// Reads one. `None` for what is none of `http` or `https`, or names a user: that belongs into a file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        (is_web && url.username().is_empty() && url.password().is_none()).then_some(Self(url))
    }

    /// With a path after what is there.
    pub(crate) fn with(mut self, path: &str) -> Self {
        let path = format!("{}{path}", self.0.path().trim_end_matches('/'));
        self.0.set_path(&path);
        self
    }

    /// Whether nobody on the way can read what is sent there.
    pub(crate) fn is_private(&self) -> bool {
        self.0.scheme() == "https" || self.0.host_str().is_some_and(is_here)
    }

    pub(super) const fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/..", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Between two looks at what is new.
    pub(super) poll: Duration,
    /// Before the second try; then twice as long each time.
    pub(super) first: Duration,
    /// Before any further try, unless it was asked for more.
    pub(super) most: Duration,
    /// Before any further try, whatever was asked for.
    pub(super) longest: Duration,
    /// For an answer.
    pub(super) answer: Duration,
    /// How often an Alertmanager is told that an alert still stands. It takes those for ended that it is not told of for five times
    /// as long.
    pub(super) resend: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            first: Duration::from_secs(1),
            most: Duration::from_secs(300),
            longest: Duration::from_secs(3600),
            answer: Duration::from_secs(10),
            resend: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_show_no_secret() {
        let address =
            Address::parse("https://hooks.example/services/T0/s3cret?key=s3cret").expect("an address");
        assert_eq!(format!("{address:?}"), "https://hooks.example/..");
        for wrong in
            ["hooks.example", "ftp://a/b", "https://ann:s3cret@a/b", "https://ann@a", "file:///etc", ""]
        {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_read_on_the_way() {
        for (text, private) in [
            ("https://a.example", true),
            ("http://a.example", false),
            ("http://localhost:9093/am", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:9093", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Address::parse(text).expect("an address").is_private(), private, "{text}");
        }
        let below = Address::parse("http://localhost:9093/am/").expect("an address").with("/api/v2/alerts");
        assert_eq!(below.url().as_str(), "http://localhost:9093/am/api/v2/alerts");
    }
}
