//! Bodies of responses: bytes that are all there, and trailers after them where gRPC wants some.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

/// The body of a response.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    bytes: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Reply {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes: (!bytes.is_empty()).then_some(bytes), trailers: None }
    }

    pub(crate) fn with_trailers(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self { trailers: Some(trailers), ..Self::new(bytes) }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.bytes.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// A response with a body of this type.
pub(crate) fn response(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::new(body));
    *response.status_mut() = status;
    set(&mut response, http::header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Sets a header.
pub(crate) fn set(response: &mut Response<Reply>, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}
