//! A client of gRPC that sends a message in pieces, when it is told to.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures_util::Stream;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::Status;

const EXPORT: &str = "http://hopseal/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What goes in front of a message of so many bytes that are not compressed.
pub(crate) fn prefix(bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes).expect("short").to_be_bytes();
    [&[0][..], &length].concat()
}

/// A connection, for any number of calls at once.
pub(crate) async fn connect(to: &str) -> SendRequest<Body> {
    let stream = tokio::net::TcpStream::connect(to).await.expect("a connection");
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    sender
}

/// Sends spans, whose message with its prefix comes in pieces.
pub(crate) async fn export(
    mut sender: SendRequest<Body>,
    pieces: impl Stream<Item = Vec<u8>> + Send + 'static,
) -> Result<Bytes, Status> {
    use futures_util::StreamExt as _;

    let body = Body::from_stream(pieces.map(|piece| Ok::<_, Infallible>(Bytes::from(piece))));
    let request = Request::post(EXPORT).header("content-type", "application/grpc").header("te", "trailers");
    let answer = sender.send_request(request.body(body).expect("a request")).await.expect("an answer");
    let head = answer.headers().clone();
    let collected = answer.into_body().collect().await.expect("all of it");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&trailers).or_else(|| Status::from_header_map(&head));
    match status.expect("a status") {
        status if status.code() == tonic::Code::Ok => Ok(collected.to_bytes()),
        status => Err(status),
    }
}
