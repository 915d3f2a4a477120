//! Events and logouts that are pushed to us, whatever the framework: bytes in, status and bytes out.

use super::receiver::Receiver;
use crate::Reason;
use crate::keys::KeySource;
use crate::outcome::Refused;

/// Longest body.
const MAX_BYTES: usize = 64 * 1024;

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The media type of the body, if there is one.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: String,
}

impl Reply {
    const fn empty(status: u16) -> Self {
        Self { status, content_type: None, body: String::new() }
    }

    fn error(err: &str, description: &str) -> Self {
        let body = serde_json::json!({"err": err, "description": description}).to_string();
        Self { status: 400, content_type: Some("application/json"), body }
    }
}

/// The error code of a refusal (RFC 8935 section 2.4).
pub(super) const fn code(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownKey | Reason::Signature | Reason::Algorithm => "invalid_key",
        Reason::Issuer => "invalid_issuer",
        Reason::Audience => "invalid_audience",
        _ => "invalid_request",
    }
}

impl<K: KeySource> Receiver<K> {
    /// Answers the push of a security event token (RFC 8935 section 2): a POST with this `Content-Type` and body. `leave` says
    /// whether the sender was found to be who it must be, where that is asked for by other means, such as the
    /// `Authorization` header; `None` where the signature is all that counts.
    ///
    /// 202 when it is in force, 400 with an error code when it is refused, 503 when it should be sent again.
    pub async fn push(&self, content_type: Option<&str>, leave: Option<bool>, body: &[u8]) -> Reply {
        if leave == Some(false) {
            return Reply::error("authentication_failed", "the sender is not known");
        }
        let kind = content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/secevent+jwt") {
            return Reply::error("invalid_request", "not of the type application/secevent+jwt");
        }
        let Some(token) = text(body) else { return Reply::error("invalid_request", "no token") };
        match self.receive(token).await {
            Ok(Ok(_)) => Reply::empty(202),
            Ok(Err(refused)) => refusal(&refused),
            Err(_) => Reply::empty(503),
        }
    }

    /// Answers a back-channel logout (OpenID Connect Back-Channel Logout 1.0 sections 2.5 and 2.8): a POST of a form with a
    /// `logout_token`. The reply must not be stored by caches (`Cache-Control: no-store`).
    ///
    /// 200 when it is in force, 400 when it is refused, 503 when it should be sent again.
    pub async fn backchannel_logout(&self, form: &[u8]) -> Reply {
        let fields = text(form).unwrap_or_default().split('&');
        // A token needs no escapes in a form; who writes some anyhow is not understood.
        let mut tokens = fields.filter_map(|field| field.strip_prefix("logout_token="));
        let (Some(token), None) = (tokens.next(), tokens.next()) else {
            return Reply::error("invalid_request", "not one logout_token");
        };
        match self.logout(token).await {
            Ok(Ok(_)) => Reply::empty(200),
            Ok(Err(refused)) => refusal(&refused),
            Err(_) => Reply::empty(503),
        }
    }
}

fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok().filter(|_| body.len() <= MAX_BYTES).map(str::trim_ascii)
}

fn refusal(refused: &Refused) -> Reply {
    Reply::error(code(refused.reason()), refused.reason().told())
}
