//! Why a request is turned away: one list, whatever the protocol.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::delivery::Refused;

/// When to come again if memory is short: it is free again as soon as what is being written is.
const SOON: Duration = Duration::from_secs(1);
/// When to come again if nobody can tell whether a credential is good.
const LATER: Duration = Duration::from_secs(5);

/// A request that is not answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing is at that path.
    Path,
    /// That path takes another method.
    Method,
    /// The body is of a type that is not taken there.
    MediaType,
    /// The body is compressed by means that are not known.
    Coding,
    /// More bytes than are taken, after decompression too.
    TooLarge { limit: usize },
    /// No memory is left for it.
    NoRoom,
    /// It took longer than it may.
    TooSlow,
    /// The connection ended.
    Cut,
    /// It cannot be decompressed.
    Damaged(String),
    /// It is not framed as gRPC frames messages.
    Framing(&'static str),
    /// Nobody proved to be anybody, and that is asked for.
    NoCredential,
    /// A bad credential, and what its challenge says.
    BadCredential(String),
    /// A good credential of somebody who is not known here.
    Stranger,
    /// It cannot be told whether a credential is good.
    Undecided,
    /// A fault of ours.
    Lost,
    /// Whoever keeps it would not.
    Given(Refused),
}

/// The codes of gRPC that are used here (google.rpc.Code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Cancelled = 1,
    InvalidArgument = 3,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Refusal {
    /// The word in metrics and logs.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Method => "method",
            Self::MediaType => "media_type",
            Self::Coding => "coding",
            Self::TooLarge { .. } => "too_large",
            Self::NoRoom => "no_room",
            Self::TooSlow => "too_slow",
            Self::Cut => "cut",
            Self::Damaged(_) => "damaged",
            Self::Framing(_) => "framing",
            Self::NoCredential => "no_credential",
            Self::BadCredential(_) => "bad_credential",
            Self::Stranger => "stranger",
            Self::Undecided => "undecided",
            Self::Lost => "lost",
            Self::Given(Refused::Malformed(_)) => "malformed",
            Self::Given(Refused::Overloaded { .. }) => "overloaded",
            Self::Given(Refused::DiskFull { .. }) => "disk_full",
            Self::Given(Refused::Stopping) => "stopping",
            Self::Given(Refused::Failed) => "failed",
        }
    }

    /// The status of HTTP. Of those that may be sent again OTLP knows 429, 502, 503 and 504 alone, so that what is ours or
    /// passes is one of these.
    pub(crate) const fn http(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType | Self::Coding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // A full disk is one too: room comes back, and until then less should be sent.
            Self::NoRoom | Self::Given(Refused::Overloaded { .. } | Refused::DiskFull { .. }) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Cut | Self::Damaged(_) | Self::Framing(_) | Self::Given(Refused::Malformed(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::NoCredential | Self::BadCredential(_) => StatusCode::UNAUTHORIZED,
            Self::Stranger => StatusCode::FORBIDDEN,
            Self::TooSlow
            | Self::Undecided
            | Self::Lost
            | Self::Given(Refused::Stopping | Refused::Failed) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code of gRPC. `RESOURCE_EXHAUSTED` may be sent again if it comes with a delay, and not else.
    pub(crate) const fn code(&self) -> Code {
        match self {
            Self::Path => Code::NotFound,
            Self::Method | Self::Coding => Code::Unimplemented,
            Self::TooLarge { .. } | Self::NoRoom | Self::Given(Refused::Overloaded { .. }) => {
                Code::ResourceExhausted
            }
            Self::Cut => Code::Cancelled,
            Self::MediaType | Self::Damaged(_) | Self::Framing(_) | Self::Given(Refused::Malformed(_)) => {
                Code::InvalidArgument
            }
            Self::NoCredential | Self::BadCredential(_) => Code::Unauthenticated,
            Self::Stranger => Code::PermissionDenied,
            Self::TooSlow
            | Self::Undecided
            | Self::Lost
            | Self::Given(Refused::DiskFull { .. } | Refused::Stopping | Refused::Failed) => {
                Code::Unavailable
            }
        }
    }

    /// When to send it again. `None` where that is no use, or nobody knows.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoRoom | Self::TooSlow | Self::Given(Refused::Stopping) => Some(SOON),
            Self::Undecided => Some(LATER),
            Self::Given(Refused::Overloaded { retry_after } | Refused::DiskFull { retry_after }) => {
                Some(*retry_after)
            }
            _ => None,
        }
    }

    /// For whoever runs the client. Says nothing of us that is not theirs to know.
    pub(crate) fn message(&self) -> Cow<'_, str> {
        let fixed = match self {
            Self::Path => "there is nothing here: OTLP over HTTP goes to /v1/traces, Zipkin to /api/v2/spans",
            Self::Method => "only POST is taken here",
            Self::MediaType => {
                "the content type is not taken here: OTLP over HTTP is application/x-protobuf or application/json"
            }
            Self::Coding => "compressed by means that are not known: gzip and zstd are",
            Self::TooLarge { limit } => {
                return format!("larger than {limit} bytes after decompression: send smaller batches").into();
            }
            Self::NoRoom | Self::Given(Refused::Overloaded { .. }) => "too much is on its way: send it again",
            Self::TooSlow => "the request was not here in time",
            Self::Cut => "the request ended early",
            Self::Damaged(why) => return format!("cannot be decompressed: {why}").into(),
            Self::Framing(why) => why,
            Self::NoCredential => "a credential is needed",
            Self::BadCredential(_) => "the credential is refused",
            Self::Stranger => "the credential is good, and whose it is may not send here",
            Self::Undecided => "the credential cannot be validated now: send it again",
            Self::Given(Refused::Malformed(why)) => return why.into(),
            Self::Given(Refused::DiskFull { .. }) => "it cannot be written now: send it again",
            Self::Given(Refused::Stopping) => "nothing more is taken, as this is stopping: send it again",
            Self::Lost | Self::Given(Refused::Failed) => "it could not be kept: send it again",
        };
        fixed.into()
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Given(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::metrics::RESULTS;

    #[test]
    fn what_may_be_sent_again_is_the_same_in_both_protocols_and_every_label_is_known() {
        let all = [
            Refusal::Path,
            Refusal::Method,
            Refusal::MediaType,
            Refusal::Coding,
            Refusal::TooLarge { limit: 7 },
            Refusal::NoRoom,
            Refusal::TooSlow,
            Refusal::Cut,
            Refusal::Damaged(String::new()),
            Refusal::Framing("x"),
            Refusal::NoCredential,
            Refusal::BadCredential(String::new()),
            Refusal::Stranger,
            Refusal::Undecided,
            Refusal::Lost,
            Refused::Malformed(String::new()).into(),
            Refused::Overloaded { retry_after: SOON }.into(),
            Refused::DiskFull { retry_after: SOON }.into(),
            Refused::Stopping.into(),
            Refused::Failed.into(),
        ];
        let labels: Vec<&str> = all.iter().map(Refusal::label).collect();
        assert_eq!(RESULTS, [&["accepted"], labels.as_slice()].concat().as_slice());
        for refusal in all {
            let by_http = matches!(refusal.http().as_u16(), 429 | 502 | 503 | 504);
            let by_grpc = match refusal.code() {
                Code::Unavailable => true,
                Code::ResourceExhausted => refusal.retry_after().is_some(),
                // Whoever is gone does not hear it.
                Code::Cancelled => by_http,
                _ => false,
            };
            assert_eq!(by_http, by_grpc, "{refusal:?}");
            assert!(by_http || refusal.retry_after().is_none(), "{refusal:?}");
        }
    }
}
