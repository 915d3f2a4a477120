//! OTLP over HTTP: `POST /v1/traces`, protobuf or JSON (OTLP 1.11, "OTLP/HTTP").

use bytes::Bytes;
use http::request::Parts as Head;
use http::{Response, StatusCode};
use http_body::Body;

use super::delivery::{Accept, Accepted, Encoding};
use super::proof::Peer;
use super::receiver::{Protocol, Receiver, explain, media_type, posted};
use super::refusal::Refusal;
use super::reply::{Reply, response};
use super::status::{self, Wire};

const PATH: &str = "/v1/traces";

impl<A: Accept> Receiver<A> {
    pub(super) async fn otlp_http<B>(
        &self,
        head: &Head,
        peer: &Peer,
        body: &mut B,
    ) -> (Result<Accepted, Refusal>, Response<Reply>)
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let wire = match media_type(&head.headers) {
            Some(text) if text.eq_ignore_ascii_case(Wire::Protobuf.media_type()) => Some(Wire::Protobuf),
            Some(text) if text.eq_ignore_ascii_case(Wire::Json.media_type()) => Some(Wire::Json),
            _ => None,
        };
        let result = self.otlp_http_export(head, peer, wire, body).await;
        // What was not asked in an encoding of ours is answered in the one that people read.
        let wire = wire.unwrap_or(Wire::Json);
        let response = match &result {
            Ok(accepted) => response(StatusCode::OK, wire.media_type(), status::accepted(wire, accepted)),
            Err(refusal) => {
                let body = status::refused(wire, refusal);
                let mut response = response(refusal.http(), wire.media_type(), body);
                explain(&mut response, refusal);
                response
            }
        };
        (result, response)
    }

    async fn otlp_http_export<B>(
        &self,
        head: &Head,
        peer: &Peer,
        wire: Option<Wire>,
        body: &mut B,
    ) -> Result<Accepted, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        posted(head, PATH)?;
        let encoding = match wire.ok_or(Refusal::MediaType)? {
            Wire::Protobuf => Encoding::OtlpProtobuf,
            Wire::Json => Encoding::OtlpJson,
        };
        let sender = self.sender(head, peer).await?;
        let body = self.body(Protocol::OtlpHttp, head, body).await?;
        if body.is_empty() && encoding == Encoding::OtlpProtobuf {
            // No bytes are a message without anything in it.
            return Ok(Accepted::default());
        }
        self.deliver(encoding, body, sender).await
    }
}
