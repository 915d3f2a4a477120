//! Receivers held to their protocols, with somebody in the keeper's place who does as the test says.

mod answers;
mod bounds;
mod clients;
mod conformance;
mod connections;
mod decoding;
mod full_disk;
mod grpc;
mod health;
mod http;
mod overload;
mod roles;
mod senders;
mod service;
mod tokens;
mod whole;
mod zipkin;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};

use tokio::sync::Notify;

use super::budget::Budget;
use super::delivery::{Accept, Accepted, Delivery, Refused};
use super::health::Unready;
use super::metrics::Metrics;
use super::proof::Peer;
use super::receiver::{Parts, Protocol, Receiver, RequestLimits};

/// Keeps what it is given, and answers with what it was told, or else that all is well.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) deliveries: Mutex<Vec<Delivery>>,
    answers: Mutex<VecDeque<Result<Accepted, Refused>>>,
    /// Without this it keeps nothing more.
    pub(super) wait_for: Mutex<Option<Arc<Notify>>>,
    /// Why it would keep nothing.
    pub(super) unready: Mutex<Vec<Unready>>,
}

impl Accept for Kept {
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, Refused> {
        self.deliveries.lock().expect("held").push(delivery);
        let wait = self.wait_for.lock().expect("held").clone();
        if let Some(go) = wait {
            go.notified().await;
        }
        let told = self.answers.lock().expect("held").pop_front();
        told.unwrap_or_else(|| Ok(Accepted { spans: 1, ..Accepted::default() }))
    }

    fn unready(&self) -> Vec<Unready> {
        self.unready.lock().expect("held").clone()
    }
}

/// A receiver of 1 MB bodies and 4 MB in all.
pub(super) struct Lab {
    pub(super) receiver: Receiver<Kept>,
    pub(super) kept: Arc<Kept>,
    pub(super) budget: Arc<Budget>,
    pub(super) metrics: Arc<Metrics>,
}

impl Lab {
    pub(super) fn new() -> Self {
        let (kept, budget, metrics) =
            (Arc::<Kept>::default(), Budget::new(4_000_000), Arc::new(Metrics::new()));
        let limits = RequestLimits { body: 1_000_000, time: Duration::from_secs(10) };
        let receiver = Receiver::new(Parts {
            accept: Arc::clone(&kept),
            limits,
            budget: Arc::clone(&budget),
            inflating: 1,
            metrics: Arc::clone(&metrics),
            senders: Arc::default(),
        });
        Self { receiver, kept, budget, metrics }
    }

    /// What the keeper answers next.
    pub(super) fn will(self, answer: Result<Accepted, Refused>) -> Self {
        self.kept.answers.lock().expect("held").push_back(answer);
        self
    }

    pub(super) async fn send(&self, protocol: Protocol, request: Request<Full<Bytes>>) -> Answer {
        self.answer(protocol, request).await
    }

    pub(super) async fn answer<B>(&self, protocol: Protocol, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Unpin,
    {
        Answer::of(self.receiver.answer(protocol, &Peer::default(), request).await).await
    }

    /// The bodies that were handed on.
    pub(super) fn bodies(&self) -> Vec<Bytes> {
        self.kept.deliveries.lock().expect("held").iter().map(|delivery| delivery.body.clone()).collect()
    }
}

/// A response, read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: ::http::HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: ::http::HeaderMap,
}

impl Answer {
    pub(super) async fn of<B>(response: Response<B>) -> Self
    where
        B: Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let (head, body) = response.into_parts();
        let collected = body.collect().await.expect("a whole reply");
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Self { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// A body that comes in pieces, and then ends or, if not, comes no further.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) left: VecDeque<Bytes>,
    pub(super) ends: bool,
    /// The length that was promised.
    pub(super) declared: Option<u64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// An `ExportTraceServiceRequest` of one span, as far as a receiver looks at it.
pub(super) const SPANS: &[u8] = b"\x0a\x06\x0a\x02\x0a\x00\x12\x00";
