//! Zipkin v2: `POST /api/v2/spans`, JSON or protobuf, answered with 202 once the spans are durable.

use bytes::Bytes;
use http::request::Parts as Head;
use http::{Response, StatusCode};
use http_body::Body;

use super::delivery::{Accept, Accepted, Encoding};
use super::proof::Peer;
use super::receiver::{Protocol, Receiver, explain, media_type, posted};
use super::refusal::Refusal;
use super::reply::{Reply, response};
use super::status::cut;

const PATH: &str = "/api/v2/spans";

impl<A: Accept> Receiver<A> {
    pub(super) async fn zipkin<B>(
        &self,
        head: &Head,
        peer: &Peer,
        body: &mut B,
    ) -> (Result<Accepted, Refusal>, Response<Reply>)
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let result = self.zipkin_spans(head, peer, body).await;
        let response = match &result {
            Ok(_) => {
                let mut response = Response::new(Reply::default());
                *response.status_mut() = StatusCode::ACCEPTED;
                response
            }
            Err(refusal) => {
                let said = Bytes::copy_from_slice(cut(&refusal.message()).as_bytes());
                let mut response = response(refusal.http(), "text/plain; charset=utf-8", said);
                explain(&mut response, refusal);
                response
            }
        };
        (result, response)
    }

    async fn zipkin_spans<B>(&self, head: &Head, peer: &Peer, body: &mut B) -> Result<Accepted, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        posted(head, PATH)?;
        let encoding = match media_type(&head.headers) {
            Some(text) if text.eq_ignore_ascii_case("application/json") => Encoding::ZipkinJson,
            Some(text) if text.eq_ignore_ascii_case("application/x-protobuf") => Encoding::ZipkinProtobuf,
            Some(_) => return Err(Refusal::MediaType),
            // Old reporters say nothing of the type, and mean JSON.
            None => Encoding::ZipkinJson,
        };
        let sender = self.sender(head, peer).await?;
        let body = self.body(Protocol::Zipkin, head, body).await?;
        self.deliver(encoding, body, sender).await
    }
}
