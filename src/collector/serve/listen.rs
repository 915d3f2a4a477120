//! Ports and connections: how many, for how long, with TLS or without.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use super::admin::Admin;
use super::delivery::Accept;
use super::metrics::{By, Metrics};
use super::proof::Peer;
use super::receiver::{Protocol, Receiver};
use super::reply::Reply;

/// Longest time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Wait after a connection that could not be accepted, as when there are no more file descriptors.
const AFTER_FAULT: Duration = Duration::from_millis(100);
/// How long a connection that is to end may stay without a request to answer. One that has not even begun would else stay for
/// ever.
const LINGER: Duration = Duration::from_secs(10);
/// How often the other side of an HTTP/2 connection is asked whether it is still there, and for how long it may be silent.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// What a client may send of one request, and of all of a connection, before it is told to go on. Smaller windows cost time.
const WINDOWS: (u32, u32) = (4 << 20, 8 << 20);
/// Largest frame of HTTP/2: a usual batch comes in one, and is not copied then.
const FRAME: u32 = 1 << 20;
/// Requests at the same time on one connection.
const STREAMS: u32 = 128;
/// Bytes of headers of one request.
const HEADERS: u32 = 32 << 10;
/// Buffer of an HTTP/1 connection: headers have to fit, bodies come in pieces of at most this.
const BUFFER: usize = 64 << 10;

/// What is behind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Spans(Protocol),
    /// The query API.
    Api,
    Admin,
}

impl Port {
    /// The word in metrics and logs.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Spans(protocol) => protocol.label(),
            Self::Api => "api",
            Self::Admin => "admin",
        }
    }
}

/// What connections may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// How many there may be, over all ports.
    pub(crate) open: usize,
    /// One without a request for so long is closed.
    pub(crate) idle: Duration,
    /// One of this age is closed once its requests are answered: the next handshake sees new certificates.
    pub(crate) age: Duration,
}

/// What answers on all ports.
pub(crate) struct Server<A> {
    pub(crate) receiver: Receiver<A>,
    pub(crate) api: Router,
    pub(crate) admin: Admin,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: ConnectionLimits,
    pub(crate) places: Arc<Semaphore>,
    /// TLS, on ports for spans. Replaced when certificates are.
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
    /// Whether it is on the port of the API, too.
    pub(crate) tls_for_api: bool,
}

impl<A: Accept> Server<A> {
    /// Takes connections until `stop` says so, then lets those that are open end, and returns.
    pub(crate) async fn listen(
        self: Arc<Self>,
        listener: TcpListener,
        port: Port,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(port = port.label(), %error, "a connection could not be accepted");
                    sleep(AFTER_FAULT).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.metrics.turned_away.get_or_create(&By { protocol: port.label() }).inc();
                continue;
            };
            // Answers are small, and each is waited for.
            let _ = stream.set_nodelay(true);
            connections.spawn(Arc::clone(&self).connection(stream, from, port, stop.clone(), place));
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn connection(
        self: Arc<Self>,
        stream: tokio::net::TcpStream,
        from: SocketAddr,
        port: Port,
        stop: watch::Receiver<bool>,
        _place: OwnedSemaphorePermit,
    ) {
        let open = self.metrics.connections.get_or_create_owned(&By { protocol: port.label() });
        open.inc();
        let wants_tls = match port {
            Port::Spans(_) => true,
            Port::Api => self.tls_for_api,
            Port::Admin => false,
        };
        match self.tls.as_ref().filter(|_| wants_tls) {
            None => self.serve(stream, Peer::default(), port, stop).await,
            Some(tls) => {
                let acceptor = TlsAcceptor::from(tls.load_full());
                match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        let peer = Peer::of(stream.get_ref().1.peer_certificates());
                        self.serve(stream, peer, port, stop).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%from, %error, "no TLS connection"),
                    Err(_) => tracing::debug!(%from, "no TLS connection in time"),
                }
            }
        }
        open.dec();
    }

    /// Answers the requests of one connection.
    pub(crate) async fn serve<S>(
        self: &Arc<Self>,
        stream: S,
        peer: Peer,
        port: Port,
        mut stop: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (peer, activity) = (Arc::new(peer), Arc::new(Activity::default()));
        let service = service_fn(|request: Request<Incoming>| {
            let (server, peer, activity) = (Arc::clone(self), Arc::clone(&peer), Arc::clone(&activity));
            async move {
                let busy = activity.begin();
                Ok::<_, Infallible>(server.respond(port, &peer, request, busy).await)
            }
        });
        let builder = builder(port, self.limits.idle);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ends = Instant::now() + self.limits.age;
        let mut leaving = pin!(async {
            // Until then it is asked now and again whether anything happens.
            loop {
                let before = activity.served();
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = sleep_until(ends) => return,
                    () = sleep(self.limits.idle) => {}
                }
                if activity.is_idle() && activity.served() == before {
                    return;
                }
            }
        });
        // How it ends is the client's affair: what was asked is counted where it was answered.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = &mut leaving => connection.as_mut().graceful_shutdown(),
        }
        let gone = async {
            loop {
                sleep(LINGER).await;
                if activity.is_idle() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = connection => {}
            () = gone => {}
        }
    }

    async fn respond(
        &self,
        port: Port,
        peer: &Arc<Peer>,
        mut request: Request<Incoming>,
        busy: Busy,
    ) -> Response<Either<Reply, Held>> {
        match port {
            Port::Spans(protocol) => self.receiver.answer(protocol, peer, request).await.map(Either::Left),
            Port::Api => {
                request.extensions_mut().insert(Arc::clone(peer));
                match self.api.clone().call(request).await {
                    Ok(response) => response.map(|body| Either::Right(Held { body, _busy: busy })),
                }
            }
            Port::Admin => {
                let unready = || self.receiver.unready();
                self.admin.answer(&request.into_parts().0, unready).map(Either::Left)
            }
        }
    }
}

fn builder(port: Port, idle: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The time between two requests counts as that for the headers of the second.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_frame_size(FRAME)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    if port == Port::Spans(Protocol::OtlpGrpc) { builder.http2_only() } else { builder }
}

/// The body of an answer that may go on for long: its connection is at work until it ends.
struct Held {
    body: axum::body::Body,
    _busy: Busy,
}

impl Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What happens on a connection.
#[derive(Debug, Default)]
struct Activity {
    busy: AtomicUsize,
    served: AtomicU64,
}

impl Activity {
    fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }

    /// How many requests ended.
    fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.served.fetch_add(1, Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
