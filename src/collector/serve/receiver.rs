//! From a request to a delivery: what all protocols have in common.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts as Head;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version, header};
use http_body::Body;
use tokio::time::Instant;

use super::body::{Charged, Reader};
use super::budget::Budget;
use super::delivery::{Accept, Accepted, Delivery, Encoding, Sender};
use super::health::Unready;
use super::inflate::{Coding, Inflater};
use super::metrics::{Alone, By, Ended, Metrics};
use super::proof::Peer;
use super::refusal::Refusal;
use super::reply::{Reply, set};
use super::senders::Senders;

/// By which protocol spans come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    OtlpGrpc,
    OtlpHttp,
    Zipkin,
}

impl Protocol {
    /// The word in metrics and logs.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::OtlpGrpc => "otlp_grpc",
            Self::OtlpHttp => "otlp_http",
            Self::Zipkin => "zipkin",
        }
    }
}

/// What a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    /// Most bytes of a body, before and after decompression.
    pub(crate) body: usize,
    /// Longest time until all of it is here.
    pub(crate) time: Duration,
}

/// Takes requests of any protocol, and hands on what is in them.
pub(crate) struct Receiver<A> {
    accept: Arc<A>,
    limits: RequestLimits,
    budget: Arc<Budget>,
    inflater: Inflater,
    metrics: Arc<Metrics>,
    senders: Arc<ArcSwap<Senders>>,
}

/// What a receiver is made of.
pub(crate) struct Parts<A> {
    pub(crate) accept: Arc<A>,
    pub(crate) limits: RequestLimits,
    pub(crate) budget: Arc<Budget>,
    /// Bodies that are inflated aside at the same time.
    pub(crate) inflating: usize,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) senders: Arc<ArcSwap<Senders>>,
}

impl<A: Accept> Receiver<A> {
    pub(crate) fn new(parts: Parts<A>) -> Self {
        let Parts { accept, limits, budget, inflating, metrics, senders } = parts;
        let inflater = Inflater::new(limits.body, inflating);
        Self { accept, limits, budget, inflater, metrics, senders }
    }

    /// Answers a request.
    pub(crate) async fn answer<B>(
        &self,
        protocol: Protocol,
        peer: &Peer,
        request: Request<B>,
    ) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, mut body) = request.into_parts();
        let (result, response) = match protocol {
            Protocol::OtlpGrpc => self.otlp_grpc(&head, peer, &mut body).await,
            Protocol::OtlpHttp => self.otlp_http(&head, peer, &mut body).await,
            Protocol::Zipkin => self.zipkin(&head, peer, &mut body).await,
        };
        self.count(protocol, &result);
        if let Err(refusal) = &result {
            tracing::debug!(protocol = protocol.label(), reason = refusal.label(), "turned away");
            let gone = matches!(refusal, Refusal::Cut | Refusal::TooSlow);
            // HTTP/1 has no way to say that no more of the body is wanted: a client that is still sending would not see
            // the answer. One that waits to be told to go on does.
            if head.version < Version::HTTP_2 && !gone && !head.headers.contains_key(header::EXPECT) {
                self.reader(&mut body).discard().await;
            }
        }
        response
    }

    pub(super) fn reader<'a, B>(&'a self, body: &'a mut B) -> Reader<'a, B> {
        Reader {
            body,
            limit: self.limits.body,
            deadline: Instant::now() + self.limits.time,
            budget: &self.budget,
        }
    }

    /// Why nothing would be taken now.
    pub(super) fn unready(&self) -> Vec<Unready> {
        self.accept.unready()
    }

    /// Who sends it. Asked before anything is read.
    pub(super) async fn sender(&self, head: &Head, peer: &Peer) -> Result<Sender, Refusal> {
        self.senders.load_full().identify(&head.headers, peer).await
    }

    /// Reads the body of a `POST` over HTTP and inflates it.
    pub(super) async fn body<B>(
        &self,
        protocol: Protocol,
        head: &Head,
        body: &mut B,
    ) -> Result<Bytes, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let coding = coding(&head.headers, &header::CONTENT_ENCODING)?;
        let declared = body.size_hint().exact();
        let raw = self.reader(body).whole(declared).await?;
        self.inflate(protocol, coding, raw).await
    }

    pub(super) async fn inflate(
        &self,
        protocol: Protocol,
        coding: Coding,
        raw: Charged,
    ) -> Result<Bytes, Refusal> {
        let by = By { protocol: protocol.label() };
        self.metrics.received.get_or_create(&by).inc_by(raw.bytes.len() as u64);
        let body = self.inflater.inflate(coding, raw).await?;
        self.metrics.inflated.get_or_create(&by).inc_by(body.bytes.len() as u64);
        Ok(body.into_bytes())
    }

    /// Hands on what was read.
    pub(super) async fn deliver(
        &self,
        encoding: Encoding,
        body: Bytes,
        sender: Sender,
    ) -> Result<Accepted, Refusal> {
        let began = Instant::now();
        let delivery = Delivery { encoding, body, sender };
        let accepted = self.accept.accept(delivery).await;
        self.metrics.accepting.observe(&Alone, began.elapsed());
        Ok(accepted?)
    }

    fn count(&self, protocol: Protocol, result: &Result<Accepted, Refusal>) {
        let protocol = protocol.label();
        let word = match result {
            Ok(accepted) => {
                let by = By { protocol };
                self.metrics.spans.get_or_create(&by).inc_by(accepted.spans);
                if accepted.rejected > 0 {
                    self.metrics.rejected.get_or_create(&by).inc_by(accepted.rejected);
                }
                "accepted"
            }
            Err(refusal) => refusal.label(),
        };
        self.metrics.requests.get_or_create(&Ended { protocol, result: word }).inc();
    }
}

/// Whether it is a `POST` to this path.
pub(super) fn posted(head: &Head, path: &str) -> Result<(), Refusal> {
    match (head.uri.path() == path, head.method == Method::POST) {
        (true, true) => Ok(()),
        (true, false) => Err(Refusal::Method),
        (false, _) => Err(Refusal::Path),
    }
}

/// How the body is compressed, by this header.
pub(super) fn coding(headers: &HeaderMap, name: &HeaderName) -> Result<Coding, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(Coding::Identity),
        (Some(value), None) => value.to_str().ok().and_then(Coding::parse).ok_or(Refusal::Coding),
        (Some(_), Some(_)) => Err(Refusal::Coding),
    }
}

/// The media type of the body, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim())
}

/// What a response over HTTP says of a refusal besides its body.
pub(super) fn explain(response: &mut Response<Reply>, refusal: &Refusal) {
    if let Some(delay) = refusal.retry_after() {
        // Whole seconds (RFC 9110 section 10.2.3), and never at once.
        let seconds = (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1);
        set(response, header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    match refusal {
        Refusal::Method => set(response, header::ALLOW, HeaderValue::from_static("POST")),
        Refusal::Coding => {
            set(response, header::ACCEPT_ENCODING, HeaderValue::from_static(Coding::ALL));
        }
        Refusal::NoCredential => set(response, header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        Refusal::BadCredential(challenge) => {
            if let Ok(value) = HeaderValue::from_str(challenge) {
                set(response, header::WWW_AUTHENTICATE, value);
            }
        }
        _ => {}
    }
}
