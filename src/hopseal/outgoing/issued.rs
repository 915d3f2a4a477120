//! What a token endpoint answers.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::http::{Answer, HttpFault};
use crate::jose::{Json, quoted};
use crate::secret::Token;

/// Lifetime in seconds of a token whose server does not say (RFC 6749 section 5.1 leaves that open).
const ASSUMED: u64 = 300;
/// Longest lifetime that is believed, so that times stay reasonable: a year.
const LONGEST: u64 = 365 * 24 * 60 * 60;

/// A token that was issued to us.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Issued {
    /// The token. Wiped when the last one that holds it is gone.
    pub token: Arc<Token>,
    /// When it ends.
    pub expiry: UnixTime,
    /// The scopes that it has, where they are not those that were asked for.
    pub scope: Option<String>,
    /// How it is to be used: `Bearer`, `DPoP`, or `N_A` for a token that is no access token.
    pub token_type: String,
    /// What it is, after an exchange (`issued_token_type`, RFC 8693 section 2.2.1).
    pub issued_type: Option<String>,
    /// The refresh token that came with it.
    pub(super) refresh: Option<Arc<Token>>,
}

/// Why no token was issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotIssued {
    /// There was no answer.
    #[error("no answer")]
    Http(#[source] HttpFault),
    /// The server refused (RFC 6749 section 5.2, RFC 8707 section 2). Asked again it will refuse again.
    #[error("refused: {code}: {detail}")]
    Refused {
        /// Its error code; `other` for one of its own.
        code: &'static str,
        /// Its description, cut short.
        detail: String,
    },
    /// Another status.
    #[error("status {0}")]
    Status(u16),
    /// An answer that makes no sense.
    #[error("{0}")]
    Answer(&'static str),
    /// It failed just before; it is too early to ask again.
    #[error("asked in vain just before")]
    TooEarly,
}

impl NotIssued {
    /// In one word of a closed set, for labels.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Http(fault) => fault.as_str(),
            Self::Refused { code, .. } => code,
            Self::Status(_) => "status",
            Self::Answer(_) => "answer",
            Self::TooEarly => "too_early",
        }
    }
}

/// Error codes that have a meaning.
const CODES: [&str; 8] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
    "use_dpop_nonce",
];

impl Issued {
    /// Reads an answer that came `now`.
    pub(super) fn read(answer: &Answer, now: UnixTime) -> Result<Self, NotIssued> {
        let json = Json::read(&answer.body);
        match answer.status {
            200 => {}
            400 | 401 | 403 => {
                let json = json.map_err(|_| NotIssued::Status(answer.status))?;
                let text = |name| json.get(name).and_then(Json::as_text);
                let error = text("error").ok_or(NotIssued::Status(answer.status))?;
                let code = CODES.into_iter().find(|code| *code == error).unwrap_or("other");
                let detail = quoted(text("error_description").unwrap_or(error));
                return Err(NotIssued::Refused { code, detail });
            }
            status => return Err(NotIssued::Status(status)),
        }
        let Ok(Json::Object(members)) = json else { return Err(NotIssued::Answer("no JSON object")) };
        let (mut token, mut refresh, mut token_type, mut scope, mut issued_type, mut life) =
            (None, None, None, None, None, ASSUMED);
        for (name, value) in members {
            match (name.as_str(), value) {
                ("access_token", Json::Text(text)) if !text.is_empty() => token = Some(Token::new(text)),
                ("refresh_token", Json::Text(text)) if !text.is_empty() => refresh = Some(Token::new(text)),
                ("token_type", Json::Text(text)) => token_type = Some(text),
                ("scope", Json::Text(text)) => scope = Some(text),
                ("issued_token_type", Json::Text(text)) => issued_type = Some(text),
                ("expires_in", Json::Unsigned(seconds)) => life = seconds.min(LONGEST),
                ("expires_in", _) => return Err(NotIssued::Answer("`expires_in` is no number of seconds")),
                ("access_token" | "refresh_token" | "token_type" | "scope" | "issued_token_type", _) => {
                    return Err(NotIssued::Answer("a member that is no text, or empty"));
                }
                _ => {}
            }
        }
        Ok(Self {
            token: Arc::new(token.ok_or(NotIssued::Answer("no `access_token`"))?),
            expiry: now.plus(life),
            scope,
            token_type: token_type.ok_or(NotIssued::Answer("no `token_type`"))?,
            issued_type,
            refresh: refresh.map(Arc::new),
        })
    }

    /// Whether it is to be used as an access token.
    pub(super) fn is_access_token(&self) -> bool {
        ["bearer", "dpop"].iter().any(|kind| self.token_type.eq_ignore_ascii_case(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_token_endpoints() {
        let read = |status, body: &str| {
            let answer = Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec().into() };
            Issued::read(&answer, UnixTime(100)).map(|issued| issued.expiry.0).map_err(|error| error.as_str())
        };
        for (status, body, outcome) in [
            (200, r#"{"access_token":"a","token_type":"Bearer","expires_in":60}"#, Ok(160)),
            (200, r#"{"access_token":"a","token_type":"Bearer"}"#, Ok(400)),
            (
                200,
                r#"{"access_token":"a","token_type":"Bearer","expires_in":18446744073709551615}"#,
                Ok(100 + LONGEST),
            ),
            (200, r#"{"access_token":"a","token_type":"Bearer","expires_in":"60"}"#, Err("answer")),
            (200, r#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#, Err("answer")),
            (200, r#"{"access_token":"","token_type":"Bearer"}"#, Err("answer")),
            (200, r#"{"access_token":"a"}"#, Err("answer")),
            (200, r#"{"token_type":"Bearer"}"#, Err("answer")),
            (200, r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#, Err("answer")),
            (200, "<html>", Err("answer")),
            (400, r#"{"error":"invalid_grant","error_description":"x"}"#, Err("invalid_grant")),
            (401, r#"{"error":"invalid_client"}"#, Err("invalid_client")),
            (400, r#"{"error":"surprise"}"#, Err("other")),
            (400, "<html>", Err("status")),
            (302, "", Err("status")),
            (500, r#"{"error":"invalid_grant"}"#, Err("status")),
        ] {
            assert_eq!(read(status, body), outcome, "{status} {body}");
        }
        let body = br#"{"access_token":"hunter2","refresh_token":"hunter3","token_type":"Bearer"}"#;
        let answer = Answer { status: 200, headers: Vec::new(), body: body.to_vec().into() };
        let issued = Issued::read(&answer, UnixTime(100)).expect("issued");
        assert!(!format!("{issued:?}").contains("hunter"), "{issued:?}");
    }
}
