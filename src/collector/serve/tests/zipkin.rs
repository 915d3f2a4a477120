//! Zipkin v2 (zipkin-api, `zipkin2-api.yaml`).

use ::http::Request;
use bytes::Bytes;
use http_body_util::Full;

use super::Lab;
use crate::serve::delivery::{Accepted, Encoding, Refused};
use crate::serve::receiver::Protocol;

fn post(path: &str, media_type: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::post(path);
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type);
    }
    request.body(Full::new(Bytes::from_static(b"[]"))).expect("a request")
}

#[tokio::test]
async fn spans_are_taken_with_202_and_nothing_else_is() {
    let rejected = || Ok(Accepted { spans: 0, rejected: 1, reason: None });
    let (json, protobuf) = (Encoding::ZipkinJson, Encoding::ZipkinProtobuf);
    for (path, media_type, told, status) in [
        ("/api/v2/spans", Some("application/json"), rejected(), 202),
        ("/api/v2/spans", Some("application/x-protobuf"), rejected(), 202),
        ("/api/v2/spans", None, rejected(), 202),
        ("/api/v2/spans", Some("application/x-thrift"), rejected(), 415),
        ("/api/v1/spans", Some("application/json"), rejected(), 404),
        ("/api/v2/spans", None, Err(Refused::Malformed("no list".to_owned())), 400),
        ("/api/v2/spans", None, Err(Refused::Stopping), 503),
    ] {
        let lab = Lab::new().will(told);
        let answer = lab.send(Protocol::Zipkin, post(path, media_type)).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {media_type:?}");
        assert_eq!(answer.body.is_empty(), status == 202);
        for delivery in lab.kept.deliveries.lock().expect("held").iter() {
            let expected = if media_type == Some("application/x-protobuf") { protobuf } else { json };
            assert_eq!((delivery.encoding, delivery.body.as_ref()), (expected, &b"[]"[..]));
        }
    }
}
