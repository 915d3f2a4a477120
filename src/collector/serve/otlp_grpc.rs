//! OTLP over gRPC: `TraceService/Export`, one message each way.
//!
//! ```text
//! request:  :path = PATH, content-type: application/grpc[+proto], [grpc-encoding: gzip|zstd]
//!           1 byte compressed or not | 4 bytes length, big endian | ExportTraceServiceRequest
//! yes:      200, 0 | length | ExportTraceServiceResponse, trailers grpc-status: 0
//! no:       200, grpc-status, grpc-message (percent-encoded), grpc-status-details-bin (google.rpc.Status in base64)
//! ```
//!
//! This is done here and not by a library so that memory is taken by the length that stands in front of a message, before
//! the message is read, and so that its bytes are handed on as they came.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;
use prost::Message as _;

use super::delivery::{Accept, Accepted, Encoding};
use super::inflate::Coding;
use super::proof::Peer;
use super::receiver::{Protocol, Receiver, coding, media_type, posted};
use super::refusal::{Code, Refusal};
use super::reply::{Reply, response, set};
use super::status::{self, Status, Wire};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const MEDIA_TYPE: &str = "application/grpc";
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

impl<A: Accept> Receiver<A> {
    pub(super) async fn otlp_grpc<B>(
        &self,
        head: &Head,
        peer: &Peer,
        body: &mut B,
    ) -> (Result<Accepted, Refusal>, Response<Reply>)
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let result = self.otlp_grpc_export(head, peer, body).await;
        let response = match &result {
            Ok(accepted) => yes(accepted),
            // Whoever speaks no gRPC is told so by HTTP.
            Err(refusal @ Refusal::MediaType) => {
                response(refusal.http(), Wire::Json.media_type(), status::refused(Wire::Json, refusal))
            }
            Err(refusal) => no(refusal),
        };
        (result, response)
    }

    async fn otlp_grpc_export<B>(&self, head: &Head, peer: &Peer, body: &mut B) -> Result<Accepted, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if !media_type(&head.headers).is_some_and(is_grpc) {
            return Err(Refusal::MediaType);
        }
        posted(head, PATH)?;
        let coding = coding(&head.headers, &ENCODING)?;
        let sender = self.sender(head, peer).await?;
        let (compressed, raw) = self.reader(body).message().await?;
        let coding = match (compressed, coding) {
            (false, _) => Coding::Identity,
            (true, Coding::Identity) => {
                return Err(Refusal::Framing("compressed, and `grpc-encoding` does not say how"));
            }
            (true, coding) => coding,
        };
        let body = self.inflate(Protocol::OtlpGrpc, coding, raw).await?;
        if body.is_empty() {
            return Ok(Accepted::default());
        }
        self.deliver(Encoding::OtlpProtobuf, body, sender).await
    }
}

/// `application/grpc`, or `application/grpc+proto`.
fn is_grpc(media_type: &str) -> bool {
    let (kind, format) = media_type.split_once('+').unwrap_or((media_type, "proto"));
    kind.eq_ignore_ascii_case(MEDIA_TYPE) && format.eq_ignore_ascii_case("proto")
}

fn yes(accepted: &Accepted) -> Response<Reply> {
    let message = status::accepted(Wire::Protobuf, accepted);
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put(message);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let mut response = response(StatusCode::OK, MEDIA_TYPE, Bytes::new());
    *response.body_mut() = Reply::with_trailers(framed.freeze(), trailers);
    response
}

fn no(refusal: &Refusal) -> Response<Reply> {
    let mut response = response(StatusCode::OK, MEDIA_TYPE, Bytes::new());
    // A method that is not there has a code of its own in gRPC.
    let code = if *refusal == Refusal::Path { Code::Unimplemented } else { refusal.code() };
    let status = Status { code: code as i32, ..Status::of(refusal) };
    set(&mut response, STATUS, HeaderValue::from(status.code));
    let details = STANDARD_NO_PAD.encode(status.encode_to_vec());
    for (name, text) in [(MESSAGE, percent_encoded(&status.message)), (DETAILS, details)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            set(&mut response, name, value);
        }
    }
    if *refusal == Refusal::Coding {
        set(&mut response, ACCEPT_ENCODING, HeaderValue::from_static("gzip,zstd,identity"));
    }
    response
}

/// Text as `grpc-message` holds it.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7f.. => {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_percent_encoded() {
        for (text, encoded) in [("a b~", "a b~"), ("100%\n", "100%25%0A"), ("\u{e9}\u{7f}", "%C3%A9%7F")] {
            assert_eq!(percent_encoded(text), encoded);
        }
    }

    #[test]
    fn media_types() {
        for (media_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/GRPC", true),
            ("application/grpc+json", false),
            ("application/grpc-web", false),
            ("application/x-protobuf", false),
        ] {
            assert_eq!(is_grpc(media_type), expected, "{media_type}");
        }
    }
}
