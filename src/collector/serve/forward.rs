//! What came in, sent on as it came, for whoever has no Collector in front that would send it to two.
//!
//! It is offered once it is durable here and before it is answered for, from a queue of bounded size: who is slow or gone is left
//! out, which is counted, and nothing here waits for it. It is no second home of spans: what waits is lost with the process.
//!
//! What panics as it is sent costs itself. It is no reason to end the service: what is kept here is not in danger, and a body that does it
//! would end the next process too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::blocking::Client;
use reqwest::redirect::Policy;

use super::again::{Ending, TRIES, trying};
use super::delivery::{Accept, Accepted, Delivery, Encoding, Refused};
use super::guard::guarded;
use super::health::Unready;
use super::metrics::Metrics;

/// How long is waited for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// What a request takes besides its body.
const OVERHEAD: usize = 128;

/// Where it is sent, and how much may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForwardSettings {
    /// The whole address.
    pub(crate) endpoint: String,
    /// Bytes that may wait.
    pub(crate) memory: usize,
}

/// Nothing can be sent on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ForwardError {
    /// What sends cannot be made.
    #[error("cannot send spans on")]
    Client(#[source] reqwest::Error),
    /// The machine gives no thread.
    #[error("cannot start the thread that sends spans on")]
    Thread(#[source] std::io::Error),
}

/// A body that waits, by its media type.
type Body = (&'static str, Vec<u8>);

/// What waits to be sent on.
#[derive(Debug)]
pub(crate) struct Queue {
    to: Sender<Body>,
    waiting: Arc<AtomicUsize>,
    memory: usize,
    metrics: Arc<Metrics>,
}

/// Starts to send on, until the end is dropped, after whoever offers.
///
/// # Errors
/// [`ForwardError`].
pub(crate) fn start(
    settings: &ForwardSettings,
    metrics: &Arc<Metrics>,
) -> Result<(Queue, Ending), ForwardError> {
    patiently(settings, metrics, TRIES)
}

fn patiently(
    settings: &ForwardSettings,
    metrics: &Arc<Metrics>,
    tries: [Duration; 3],
) -> Result<(Queue, Ending), ForwardError> {
    let client = Client::builder().redirect(Policy::none()).timeout(ANSWER).build();
    let client = client.map_err(ForwardError::Client)?;
    let (to, from) = channel::<Body>();
    let (ending, mut trying) = trying(tries);
    let (waiting, counted) = (Arc::<AtomicUsize>::default(), Arc::clone(metrics));
    let (endpoint, taken) = (settings.endpoint.clone(), Arc::clone(&waiting));
    let run = move || {
        for (media_type, body) in from {
            let size = body.len() + OVERHEAD;
            let body = bytes::Bytes::from(body);
            let once = || sent(&client, &endpoint, media_type, body.clone());
            // Nothing outlives a try but the client, which begins each request anew, and whether the last one arrived.
            let sent = guarded(|| trying.send(|error: &NotSent| error.is_later, once));
            match &sent {
                Ok(Err(Some(NotSent { error, .. }))) => {
                    tracing::warn!(error, "spans could not be sent on; they are kept here");
                }
                Err(panicked) => {
                    tracing::error!(place = %panicked, "spans are not sent on, by a fault of ours; they are kept here");
                }
                Ok(_) => {}
            }
            counted.forwarded(if matches!(sent, Ok(Ok(()))) { "sent" } else { "failed" });
            taken.fetch_sub(size, Ordering::Relaxed);
        }
    };
    let thread = std::thread::Builder::new().name("forward".to_owned()).spawn(run);
    thread.map(drop).map_err(ForwardError::Thread)?;
    let queue = Queue { to, waiting, memory: settings.memory, metrics: Arc::clone(metrics) };
    Ok((queue, ending))
}

/// Why a body was not taken, and whether it may be another time.
struct NotSent {
    error: String,
    is_later: bool,
}

fn sent(
    client: &Client,
    endpoint: &str,
    media_type: &'static str,
    body: bytes::Bytes,
) -> Result<(), NotSent> {
    #[cfg(test)]
    assert_ne!(&*body, tests::PANICS, "a fault");
    match client.post(endpoint).header(CONTENT_TYPE, media_type).body(body).send() {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => {
            Err(NotSent { error: response.status().to_string(), is_later: is_later(response.status()) })
        }
        Err(error) => Err(NotSent { error: super::live::chain(&error.without_url()), is_later: true }),
    }
}

/// Whether it may be sent again, as of OTLP.
fn is_later(status: StatusCode) -> bool {
    [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ]
    .contains(&status)
}

impl Queue {
    /// Offers a body. Waits for nobody.
    fn offer(&self, encoding: Encoding, body: &[u8]) {
        let media_type = match encoding {
            Encoding::OtlpProtobuf => "application/x-protobuf",
            Encoding::OtlpJson => "application/json",
            // It is no OTLP, and would not be as it came if it were made that.
            Encoding::ZipkinJson | Encoding::ZipkinProtobuf => return self.metrics.forwarded("left_out"),
        };
        let size = body.len() + OVERHEAD;
        let fits = self.waiting.fetch_add(size, Ordering::Relaxed) + size <= self.memory;
        // A copy: what is being received has a bound of its own, and is not held up by what waits here.
        if !fits || self.to.send((media_type, body.to_vec())).is_err() {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            self.metrics.forwarded("left_out");
        }
    }
}

/// Keeps, and offers what is kept to be sent on.
#[derive(Debug)]
pub(crate) struct Forwarding<A> {
    pub(crate) inner: Arc<A>,
    /// None where nothing is sent on.
    pub(crate) queue: Option<Queue>,
}

impl<A: Accept> Accept for Forwarding<A> {
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, Refused> {
        let Some(queue) = &self.queue else { return self.inner.accept(delivery).await };
        let (encoding, body) = (delivery.encoding, delivery.body.clone());
        let accepted = self.inner.accept(delivery).await?;
        queue.offer(encoding, &body);
        Ok(accepted)
    }

    fn unready(&self) -> Vec<Unready> {
        self.inner.unready()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use axum::Router;
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::serve::delivery::Sender as From;

    /// Keeps what is not empty.
    #[derive(Debug)]
    struct Keeps;

    impl Accept for Keeps {
        async fn accept(&self, delivery: Delivery) -> Result<Accepted, Refused> {
            if delivery.body.is_empty() { Err(Refused::Failed) } else { Ok(Accepted::default()) }
        }

        fn unready(&self) -> Vec<Unready> {
            Vec::new()
        }
    }

    type Came = Arc<Mutex<Vec<(String, Bytes)>>>;

    /// Somebody who takes spans, with these statuses first.
    fn backend(runtime: &tokio::runtime::Runtime, statuses: &[u16]) -> (String, Came) {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
        let (came, statuses) =
            (Came::default(), Mutex::new(statuses.iter().copied().collect::<VecDeque<_>>()));
        let (noted, statuses) = (Arc::clone(&came), Arc::new(statuses));
        let router = Router::new().fallback(async move |headers: HeaderMap, body: Bytes| {
            let kind = headers[CONTENT_TYPE].to_str().expect("text").to_owned();
            noted.lock().expect("no panic").push((kind, body));
            StatusCode::from_u16(statuses.lock().expect("no panic").pop_front().unwrap_or(200))
                .expect("a status")
        });
        runtime.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        (endpoint, came)
    }

    fn counted(metrics: &Metrics, result: &str) -> u64 {
        let line = format!("hopseal_forwarded_requests_total{{result=\"{result}\"}} ");
        let text = metrics.text();
        text.lines().find_map(|said| said.strip_prefix(&line)).expect("counted").parse().expect("a number")
    }

    const QUICK: [Duration; 3] = [Duration::from_millis(5); 3];
    /// To send this one panics.
    pub(super) const PANICS: &[u8] = b"panics";

    /// Scenario: requests of every encoding are kept, but for one; the backend is overloaded at first, and wants one of them never.
    /// Guarantees: what is kept is sent on as it came, in its order; what is not kept is not sent; all of it is counted.
    #[test]
    fn what_is_kept_is_sent_on_as_it_came() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (endpoint, came) = backend(&runtime, &[503, 429, 200, 400]);
        let metrics = Arc::new(Metrics::new());
        let settings = ForwardSettings { endpoint, memory: 10_000 };
        let (queue, forwarder) = patiently(&settings, &metrics, QUICK).expect("started");
        let forwarding = Forwarding { inner: Arc::new(Keeps), queue: Some(queue) };
        let accept = |encoding, body: &'static [u8]| {
            let delivery =
                Delivery { encoding, body: Bytes::from_static(body), sender: From::Unauthenticated };
            runtime.block_on(forwarding.accept(delivery)).is_ok()
        };
        assert!(accept(Encoding::OtlpProtobuf, b"one"));
        assert!(!accept(Encoding::OtlpProtobuf, b""));
        assert!(accept(Encoding::ZipkinJson, b"[]"));
        assert!(accept(Encoding::OtlpJson, b"{}"));
        assert!(accept(Encoding::OtlpProtobuf, b"two"));
        for _ in 0..2_000 {
            if counted(&metrics, "sent") == 2 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(forwarding);
        drop(forwarder);
        let came = came.lock().expect("no panic").clone();
        let came: Vec<_> = came.iter().map(|(kind, body)| (kind.as_str(), &body[..])).collect();
        let (protobuf, json) = ("application/x-protobuf", "application/json");
        let one = (protobuf, &b"one"[..]);
        assert_eq!(came, [one, one, one, (json, b"{}"), (protobuf, b"two")]);
        assert_eq!(["sent", "failed", "left_out"].map(|result| counted(&metrics, result)), [2, 1, 1]);
    }

    /// Scenario: to send a body panics, and another waits behind it.
    /// Guarantees: the first is counted as not sent and its memory given back, the other is sent.
    #[test]
    fn what_panics_costs_itself() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (endpoint, came) = backend(&runtime, &[]);
        let metrics = Arc::new(Metrics::new());
        let settings = ForwardSettings { endpoint, memory: 10_000 };
        let (queue, forwarder) = patiently(&settings, &metrics, QUICK).expect("started");
        [PANICS, b"one"].into_iter().for_each(|body| queue.offer(Encoding::OtlpProtobuf, body));
        for _ in 0..2_000 {
            if counted(&metrics, "sent") == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let waiting = Arc::clone(&queue.waiting);
        drop(queue);
        drop(forwarder);
        assert_eq!(came.lock().expect("no panic").len(), 1);
        assert_eq!(["sent", "failed", "left_out"].map(|result| counted(&metrics, result)), [1, 1, 0]);
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }

    /// Scenario: nobody is there, and more comes than may wait.
    /// Guarantees: what does not fit is left out at once, and the end waits for nobody.
    #[test]
    fn who_is_gone_takes_no_more_than_its_memory() {
        let metrics = Arc::new(Metrics::new());
        let settings = ForwardSettings { endpoint: "http://127.0.0.1:9/v1/traces".to_owned(), memory: 5_000 };
        let (queue, forwarder) = start(&settings, &metrics).expect("started");
        let body = vec![0; 1_000 - OVERHEAD];
        (0..20).for_each(|_| queue.offer(Encoding::OtlpProtobuf, &body));
        assert_eq!(counted(&metrics, "left_out"), 15);
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 5_000);
        drop(queue);
        drop(forwarder);
        assert_eq!(counted(&metrics, "failed"), 5);
    }
}
