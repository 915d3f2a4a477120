//! OTLP over HTTP, MUST by MUST (opentelemetry-proto, docs/specification.md, "OTLP/HTTP").

use std::io::Write as _;
use std::time::Duration;

use ::http::{Method, Request};
use bytes::Bytes;
use http_body_util::Full;
use prost::Message as _;

use super::{Lab, Pieces, SPANS};
use crate::serve::delivery::{Accepted, Encoding, Refused};
use crate::serve::receiver::Protocol;
use crate::serve::status::{BadRequest, Response, RetryInfo, Status};
use crate::serve::tests::Answer;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn post(media_type: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post("/v1/traces").header("content-type", media_type);
    request.body(Full::new(body.into())).expect("a request")
}

fn with(mut request: Request<Full<Bytes>>, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    request.headers_mut().append(name, value.parse().expect("a value"));
    request
}

async fn send(lab: &Lab, request: Request<Full<Bytes>>) -> Answer {
    lab.send(Protocol::OtlpHttp, request).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).and_then(|()| to.finish()).expect("compresses")
}

#[tokio::test]
async fn must_support_none_and_gzip_and_takes_zstd_too() {
    let zstd = zstd::encode_all(SPANS, 3).expect("compresses");
    for (coding, body) in [(None, SPANS.to_vec()), (Some("gzip"), gzip(SPANS)), (Some("zstd"), zstd)] {
        let lab = Lab::new();
        let mut request = post(PROTOBUF, body);
        if let Some(coding) = coding {
            request = with(request, "content-encoding", coding);
        }
        let answer = send(&lab, request).await;
        assert_eq!((answer.status.as_u16(), lab.bodies()), (200, vec![Bytes::from_static(SPANS)]));
    }
}

#[tokio::test]
async fn protobuf_and_json_share_the_port_and_the_response_must_be_of_the_type_of_the_request() {
    for (media_type, answered, encoding) in [
        (PROTOBUF, PROTOBUF, Encoding::OtlpProtobuf),
        (JSON, JSON, Encoding::OtlpJson),
        ("application/json; charset=utf-8", JSON, Encoding::OtlpJson),
        ("Application/JSON", JSON, Encoding::OtlpJson),
    ] {
        let lab = Lab::new();
        let answer = send(&lab, post(media_type, "{}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(answered)));
        assert_eq!(lab.kept.deliveries.lock().expect("held")[0].encoding, encoding);
    }
}

#[tokio::test]
async fn on_full_success_partial_success_must_be_unset() {
    let lab = Lab::new();
    assert_eq!(send(&lab, post(PROTOBUF, SPANS)).await.body, "");
    assert_eq!(send(&lab, post(JSON, "{}")).await.body, "{}");
}

#[tokio::test]
async fn an_empty_request_must_succeed() {
    let lab = Lab::new();
    let answer = send(&lab, post(PROTOBUF, "")).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, &b""[..]));
}

#[tokio::test]
async fn on_partial_success_rejected_spans_must_be_set() {
    let told = Accepted { spans: 3, rejected: 2, reason: Some("2 spans without an id".to_owned()) };
    let answer = send(&Lab::new().will(Ok(told.clone())), post(PROTOBUF, SPANS)).await;
    assert_eq!(answer.status.as_u16(), 200);
    let partial = Response::decode(answer.body).expect("a response").partial_success.expect("set");
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (2, "2 spans without an id"));

    let answer = send(&Lab::new().will(Ok(told)), post(JSON, "{}")).await;
    let expected = r#"{"partialSuccess":{"errorMessage":"2 spans without an id","rejectedSpans":"2"}}"#;
    assert_eq!(answer.body, expected);

    // A message should stand there even if nobody gave one.
    let silent = Accepted { spans: 3, rejected: 2, reason: None };
    let answer = send(&Lab::new().will(Ok(silent)), post(PROTOBUF, SPANS)).await;
    let partial = Response::decode(answer.body).expect("a response").partial_success.expect("set");
    assert!(!partial.error_message.is_empty());
}

#[tokio::test]
async fn a_warning_has_no_rejected_spans_and_a_message() {
    let told = Accepted { spans: 3, rejected: 0, reason: Some("the clock is ahead".to_owned()) };
    let answer = send(&Lab::new().will(Ok(told)), post(PROTOBUF, SPANS)).await;
    let partial = Response::decode(answer.body).expect("a response").partial_success.expect("set");
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (0, "the clock is ahead"));
}

#[tokio::test]
async fn the_response_must_be_limited_by_shortening_the_message() {
    for reason in ["x".repeat(10 << 20), "\u{e9}".repeat(5 << 20)] {
        let told = Accepted { spans: 0, rejected: 7, reason: Some(reason.clone()) };
        let answer = send(&Lab::new().will(Ok(told)), post(PROTOBUF, SPANS)).await;
        assert!(answer.body.len() < 8192);
        let partial = Response::decode(answer.body).expect("a response").partial_success.expect("set");
        assert_eq!(partial.rejected_spans, 7);
        assert!(reason.starts_with(&partial.error_message));
        let answer = send(&Lab::new().will(Err(Refused::Malformed(reason))), post(JSON, "{}")).await;
        assert_eq!((answer.status.as_u16(), answer.body.len() < 8192), (400, true));
    }
}

/// 429, 502, 503 and 504 may be sent again, all else may not.
#[tokio::test]
async fn every_error_must_have_a_status_in_the_encoding_of_the_request() {
    let delay = Duration::from_millis(1500);
    let malformed = || Refused::Malformed("no message at byte 3".to_owned());
    for (refused, status, code, retry_after, delayed) in [
        (malformed(), 400, 3, None, None),
        (Refused::Overloaded { retry_after: delay }, 429, 8, Some("2"), Some("1.500000000s")),
        (Refused::DiskFull { retry_after: delay }, 429, 14, Some("2"), Some("1.500000000s")),
        (Refused::Stopping, 503, 14, Some("1"), Some("1s")),
        (Refused::Failed, 503, 14, None, None),
    ] {
        let answer = send(&Lab::new().will(Err(refused.clone())), post(PROTOBUF, SPANS)).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, Some(PROTOBUF)));
        assert_eq!(answer.header("retry-after"), retry_after, "{refused:?}");
        let said = Status::decode(answer.body).expect("a status");
        assert_eq!(said.code, code);
        assert!(!said.message.is_empty());
        let kind = said.details.first().map(|any| any.type_url.as_str());
        let hint = said
            .details
            .first()
            .filter(|_| delayed.is_some())
            .map(|any| RetryInfo::decode(any.value.clone()).expect("a hint").retry_delay.expect("set"));
        assert_eq!(hint.is_some(), delayed.is_some());
        assert_eq!(
            kind,
            match (status, delayed) {
                (400, _) => Some("type.googleapis.com/google.rpc.BadRequest"),
                (_, Some(_)) => Some("type.googleapis.com/google.rpc.RetryInfo"),
                (_, None) => None,
            }
        );
        if status == 400 {
            let bad = BadRequest::decode(said.details[0].value.clone()).expect("what is wrong");
            assert_eq!(bad.field_violations[0].description, said.message);
        }

        let answer = send(&Lab::new().will(Err(refused)), post(JSON, "{}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, Some(JSON)));
        let said: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(said["code"], code);
        assert_eq!(said["details"][0]["retryDelay"].as_str(), delayed);
        let bad = said["details"][0]["fieldViolations"][0]["description"].as_str();
        assert_eq!(bad, said["message"].as_str().filter(|_| status == 400));
    }
}

#[tokio::test]
async fn what_is_no_export_is_turned_away_before_its_body_is_looked_at() {
    let request = |method: Method, path: &str, media_type: &str, coding: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", media_type).header("content-encoding", coding);
        request.body(Full::new(Bytes::from_static(SPANS))).expect("a request")
    };
    for (method, path, media_type, coding, status, header) in [
        (Method::POST, "/v1/logs", PROTOBUF, "identity", 404, None),
        (Method::POST, "/v1/metrics", JSON, "identity", 404, None),
        (Method::POST, "/v1/traces/", JSON, "identity", 404, None),
        (Method::POST, "/", PROTOBUF, "identity", 404, None),
        (Method::GET, "/v1/traces", PROTOBUF, "identity", 405, Some(("allow", "POST"))),
        (Method::POST, "/v1/traces", "text/plain", "identity", 415, None),
        (Method::POST, "/v1/traces", "application/grpc", "identity", 415, None),
        (Method::POST, "/v1/traces", PROTOBUF, "br", 415, Some(("accept-encoding", "gzip, zstd, identity"))),
        (Method::POST, "/v1/traces", JSON, "gzip, gzip", 415, None),
    ] {
        let lab = Lab::new();
        let answer = send(&lab, request(method, path, media_type, coding)).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {media_type} {coding}");
        let expected = if media_type == PROTOBUF { PROTOBUF } else { JSON };
        assert_eq!(answer.header("content-type"), Some(expected));
        if let Some((name, value)) = header {
            assert_eq!(answer.header(name), Some(value));
        }
        assert_eq!(lab.bodies().len(), 0);
    }
    let two = with(with(post(PROTOBUF, SPANS), "content-encoding", "gzip"), "content-encoding", "gzip");
    assert_eq!(send(&Lab::new(), two).await.status.as_u16(), 415);
}

#[tokio::test]
async fn the_size_must_be_limited_after_decompression_too() {
    let lab = Lab::new();
    let bomb = gzip(&vec![0; 900_000_000 / 100]);
    for (coding, body, status) in [
        ("identity", vec![0; 1_000_000], 200),
        ("identity", vec![0; 1_000_001], 413),
        ("gzip", gzip(&vec![0; 1_000_000]), 200),
        ("gzip", gzip(&vec![0; 1_000_001]), 413),
        ("gzip", bomb, 413),
        ("zstd", zstd::encode_all(&vec![0; 1_000_001][..], 3).expect("compresses"), 413),
    ] {
        let answer = send(&lab, with(post(PROTOBUF, body), "content-encoding", coding)).await;
        assert_eq!(answer.status.as_u16(), status, "{coding}");
        if status == 413 {
            let said = Status::decode(answer.body).expect("a status");
            // It would be the same another time, so there is no hint when to send it again.
            assert_eq!((said.code, said.details.len()), (8, 0));
            assert_eq!(answer.headers.get("retry-after"), None);
        }
    }
}

#[tokio::test]
async fn a_chunked_body_is_one_body() {
    let lab = Lab::new();
    let left = (0..50_u8).map(|n| Bytes::from(vec![n; 1000])).collect();
    let request = Request::post("/v1/traces").header("content-type", JSON);
    let request = request.body(Pieces { left, ends: true, declared: None }).expect("a request");
    let answer = lab.answer(Protocol::OtlpHttp, request).await;
    assert_eq!(answer.status.as_u16(), 200);
    let expected: Vec<u8> = (0..50_u8).flat_map(|n| [n; 1000]).collect();
    assert_eq!(lab.bodies(), [Bytes::from(expected)]);

    let left = (0..1001_u32).map(|_| Bytes::from(vec![0; 1000])).collect();
    let request = Request::post("/v1/traces").header("content-type", JSON);
    let request = request.body(Pieces { left, ends: true, declared: None }).expect("a request");
    assert_eq!(lab.answer(Protocol::OtlpHttp, request).await.status.as_u16(), 413);
}

#[tokio::test]
async fn bad_data_is_400_and_not_500() {
    for (coding, body) in [("gzip", &b"no gzip"[..]), ("zstd", b"no zstd"), ("gzip", &gzip(SPANS)[..12])] {
        let answer = send(&Lab::new(), with(post(PROTOBUF, body.to_vec()), "content-encoding", coding)).await;
        let said = Status::decode(answer.body).expect("a status");
        assert_eq!((answer.status.as_u16(), said.code), (400, 3), "{}", said.message);
    }
}
