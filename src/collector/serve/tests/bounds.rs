//! Memory and time that requests may take.

use std::time::Duration;

use ::http::Request;
use bytes::Bytes;
use http_body_util::Full;

use super::{Lab, Pieces};
use crate::serve::receiver::Protocol;

fn post(body: Vec<u8>) -> Request<Full<Bytes>> {
    let request = Request::post("/v1/traces").header("content-type", "application/json");
    request.body(Full::new(Bytes::from(body))).expect("a request")
}

fn unfinished(pieces: usize) -> Request<Pieces> {
    let left = (0..pieces).map(|_| Bytes::from(vec![b' '; 100_000])).collect();
    let request = Request::post("/v1/traces").header("content-type", "application/json");
    request.body(Pieces { left, ends: false, declared: Some(1_000_000) }).expect("a request")
}

/// What is handed on holds its memory until the last slice of it is gone.
#[tokio::test]
async fn over_the_budget_is_429_with_a_delay_and_never_a_silent_drop() {
    let lab = Lab::new();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(lab.send(Protocol::OtlpHttp, post(vec![b' '; 900_000])).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 429]);
    let answer = lab.send(Protocol::OtlpHttp, post(vec![b' '; 900_000])).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("1")));
    assert!(lab.metrics.text().contains("result=\"no_room\"} 2"));

    let held = lab.kept.deliveries.lock().expect("held").pop().expect("a delivery").body;
    let slice = held.slice(10..20);
    drop(held);
    assert_eq!(lab.send(Protocol::OtlpHttp, post(vec![b' '; 900_000])).await.status.as_u16(), 429);
    drop(slice);
    assert_eq!(lab.send(Protocol::OtlpHttp, post(vec![b' '; 900_000])).await.status.as_u16(), 200);
    lab.kept.deliveries.lock().expect("held").clear();
    assert_eq!(lab.budget.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_ends_the_request_and_gives_its_memory_back() {
    let lab = Lab::new();
    let slow = lab.answer(Protocol::OtlpHttp, unfinished(3));
    let answer = tokio::time::timeout(Duration::from_secs(11), slow).await.expect("ends by itself");
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert_eq!((lab.bodies().len(), lab.budget.taken()), (0, 0));
}

/// Scenario: a few clients promise large bodies and send nothing.
/// Guarantees: they are given the first part only, so that others still get in.
#[tokio::test(start_paused = true)]
async fn promises_take_no_memory() {
    let lab = Lab::new();
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(Box::pin(lab.answer(Protocol::OtlpHttp, unfinished(1))));
    }
    for request in &mut slow {
        assert!(tokio::time::timeout(Duration::from_millis(1), request).await.is_err());
    }
    assert_eq!(lab.budget.taken(), 20 * (100_000_usize.next_multiple_of(128 << 10) + (16 << 10)));
}

#[tokio::test]
async fn a_request_that_is_dropped_gives_its_memory_back() {
    let lab = Lab::new();
    let mut request = Box::pin(lab.answer(Protocol::OtlpHttp, unfinished(5)));
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut request).await.is_err());
    assert!(lab.budget.taken() > 500_000);
    drop(request);
    assert_eq!(lab.budget.taken(), 0);
}
