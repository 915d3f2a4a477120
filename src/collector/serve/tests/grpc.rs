//! OTLP over gRPC, MUST by MUST (opentelemetry-proto, docs/specification.md, "OTLP/gRPC"; gRPC over HTTP/2).

use std::io::Write as _;
use std::time::Duration;

use ::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use prost::Message as _;

use super::{Answer, Lab, Pieces, SPANS};
use crate::serve::delivery::{Accepted, Encoding, Refused};
use crate::serve::receiver::Protocol;
use crate::serve::status::{Delay, Response, RetryInfo, Status};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A message with its prefix.
pub(super) fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[u8::from(compressed)][..], &length, message].concat()
}

fn call(path: &str, coding: &str, pieces: Vec<Vec<u8>>) -> Request<Pieces> {
    let request = Request::post(path).version(::http::Version::HTTP_2).header("te", "trailers");
    let request = request.header("content-type", "application/grpc").header("grpc-encoding", coding);
    let left = pieces.into_iter().map(Bytes::from).collect();
    request.body(Pieces { left, ends: true, declared: None }).expect("a request")
}

async fn send(lab: &Lab, request: Request<Pieces>) -> Answer {
    lab.answer(Protocol::OtlpGrpc, request).await
}

/// The code of a response that says no, and its status, which must agree.
pub(super) fn refused(answer: &Answer) -> (i32, Status) {
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/grpc")));
    assert_eq!(answer.body.len(), 0);
    let details = STANDARD_NO_PAD.decode(answer.header("grpc-status-details-bin").expect("details"));
    let status = Status::decode(details.expect("base64").as_slice()).expect("a status");
    let code = answer.header("grpc-status").expect("a code").parse().expect("a number");
    assert_eq!(status.code, code);
    assert!(answer.header("grpc-message").is_some_and(|message| !message.is_empty()));
    (code, status)
}

#[tokio::test]
async fn on_success_there_is_one_message_and_status_0_and_partial_success_is_unset() {
    let lab = Lab::new();
    let answer = send(&lab, call(EXPORT, "identity", vec![framed(false, SPANS)])).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/grpc")));
    assert_eq!(answer.body.as_ref(), [0; 5]);
    assert_eq!(answer.trailers.get("grpc-status").map(|value| value.as_bytes()), Some(&b"0"[..]));
    assert_eq!(lab.bodies(), [Bytes::from_static(SPANS)]);
    assert_eq!(lab.kept.deliveries.lock().expect("held")[0].encoding, Encoding::OtlpProtobuf);
}

#[tokio::test]
async fn must_support_none_and_gzip_and_takes_zstd_too() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let gzip = gzip.write_all(SPANS).and_then(|()| gzip.finish()).expect("compresses");
    let zstd = zstd::encode_all(SPANS, 3).expect("compresses");
    for (coding, message) in [
        ("gzip", framed(true, &gzip)),
        ("zstd", framed(true, &zstd)),
        // A message may be left as it is though its encoding is named.
        ("gzip", framed(false, SPANS)),
    ] {
        let lab = Lab::new();
        let answer = send(&lab, call(EXPORT, coding, vec![message])).await;
        assert_eq!(answer.trailers.get("grpc-status").map(|value| value.as_bytes()), Some(&b"0"[..]));
        assert_eq!(lab.bodies(), [Bytes::from_static(SPANS)], "{coding}");
    }
}

#[tokio::test]
async fn a_message_may_come_in_any_pieces() {
    let message: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
    let whole = framed(false, &message);
    for size in [1, 3, 5, 6, 1000, 16_384, 200_000] {
        let lab = Lab::new();
        let pieces = whole.chunks(size).map(<[u8]>::to_vec).collect();
        send(&lab, call(EXPORT, "identity", pieces)).await;
        assert!(lab.bodies() == [Bytes::from(message.clone())], "{size}");
    }
}

#[tokio::test]
async fn an_empty_request_must_succeed() {
    let answer = send(&Lab::new(), call(EXPORT, "identity", vec![framed(false, b"")])).await;
    assert_eq!(answer.trailers.get("grpc-status").map(|value| value.as_bytes()), Some(&b"0"[..]));
}

#[tokio::test]
async fn on_partial_success_rejected_spans_must_be_set() {
    let told = Accepted { spans: 1, rejected: 4, reason: Some("ids".to_owned()) };
    let lab = Lab::new().will(Ok(told));
    let answer = send(&lab, call(EXPORT, "identity", vec![framed(false, SPANS)])).await;
    let partial = Response::decode(&answer.body[5..]).expect("a response").partial_success.expect("set");
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (4, "ids"));
    assert_eq!(usize::from(answer.body[4]), answer.body.len() - 5);
}

#[tokio::test]
async fn resource_exhausted_must_have_retry_info_if_and_only_if_it_may_be_sent_again() {
    let delay = Duration::from_millis(2500);
    let expected = || Some(Delay { seconds: 2, nanos: 500_000_000 });
    for (refused_by_keeper, code, hint) in [
        (Refused::Overloaded { retry_after: delay }, 8, expected()),
        (Refused::DiskFull { retry_after: delay }, 14, expected()),
        (Refused::Stopping, 14, Some(Delay { seconds: 1, nanos: 0 })),
        (Refused::Failed, 14, None),
        (Refused::Malformed("no message at byte 3: \u{e9}".to_owned()), 3, None),
    ] {
        let lab = Lab::new().will(Err(refused_by_keeper.clone()));
        let answer = send(&lab, call(EXPORT, "identity", vec![framed(false, SPANS)])).await;
        let (found, status) = refused(&answer);
        assert_eq!(found, code, "{refused_by_keeper:?}");
        let mut details = status.details.iter().filter(|any| any.type_url.ends_with("RetryInfo"));
        let delay = details.next().map(|any| RetryInfo::decode(any.value.clone()).expect("a hint"));
        assert_eq!(delay.and_then(|info| info.retry_delay), hint);
    }
    let large = framed(false, &vec![0; 1_000_001]);
    let (code, status) = refused(&send(&Lab::new(), call(EXPORT, "identity", vec![large])).await);
    assert_eq!((code, status.details.len()), (8, 0));
}

#[tokio::test]
async fn the_size_must_be_limited_before_it_is_read_and_after_decompression() {
    // Only its prefix ever comes.
    let lab = Lab::new();
    let announced = [&[0][..], &u32::MAX.to_be_bytes()].concat();
    assert_eq!(refused(&send(&lab, call(EXPORT, "identity", vec![announced])).await).0, 8);
    let bomb = zstd::encode_all(&vec![0; 100_000_000][..], 3).expect("compresses");
    assert_eq!(refused(&send(&lab, call(EXPORT, "zstd", vec![framed(true, &bomb)])).await).0, 8);
    assert_eq!((lab.bodies().len(), lab.budget.taken()), (0, 0));
}

#[tokio::test]
async fn what_is_no_export_is_turned_away() {
    let one = || vec![framed(false, SPANS)];
    let two = vec![framed(false, SPANS), framed(false, SPANS)];
    for (path, coding, pieces, code) in [
        ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", "identity", one(), 12),
        ("/opentelemetry.proto.collector.trace.v1.TraceService/Import", "identity", one(), 12),
        (EXPORT, "snappy", one(), 12),
        (EXPORT, "identity", vec![framed(true, SPANS)], 3),
        (EXPORT, "gzip", vec![framed(true, SPANS)], 3),
        (EXPORT, "identity", two, 3),
        (EXPORT, "identity", vec![], 3),
        (EXPORT, "identity", vec![vec![0, 0, 0]], 3),
        (EXPORT, "identity", vec![framed(false, SPANS)[..9].to_vec()], 3),
        (EXPORT, "identity", vec![vec![2, 0, 0, 0, 0]], 3),
    ] {
        let lab = Lab::new();
        let answer = send(&lab, call(path, coding, pieces.clone())).await;
        assert_eq!(refused(&answer).0, code, "{path} {coding} {pieces:?}");
        assert_eq!((lab.bodies().len(), lab.budget.taken()), (0, 0));
        if coding == "snappy" {
            assert_eq!(answer.header("grpc-accept-encoding"), Some("gzip,zstd,identity"));
        }
    }
    let mut request = call(EXPORT, "identity", one());
    request.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    assert_eq!(send(&Lab::new(), request).await.status.as_u16(), 415);
}
