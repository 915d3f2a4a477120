//! The service as a whole: its ports, what it reads again, and how it ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::access::gate;
use super::admin::{Admin, Phase};
use super::budget::Budget;
use super::config::Config;
use super::delivery::Accept;
use super::listen::{Port, Server};
use super::live::Live;
use super::metrics::{Metrics, counted};
use super::receiver::{Parts, Receiver};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// It cannot be reached under an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address} for {port}")]
pub(crate) struct BindError {
    /// For what.
    port: &'static str,
    /// Where.
    address: SocketAddr,
    /// Why.
    #[source]
    source: io::Error,
}

/// All ports bound, and nothing answered yet.
pub(crate) struct Service<A> {
    config: Config,
    live: Live,
    metrics: Arc<Metrics>,
    server: Arc<Server<A>>,
    ports: Vec<(Port, SocketAddr, TcpListener)>,
}

impl<A: Accept> Service<A> {
    /// Binds the ports. `api` is had by those who may.
    ///
    /// # Errors
    /// [`BindError`] for the first that cannot be had.
    pub(crate) async fn bind(
        config: Config,
        live: Live,
        accept: Arc<A>,
        metrics: Arc<Metrics>,
        api: Router,
    ) -> Result<Self, BindError> {
        let budget = Budget::counted(config.memory, metrics.in_flight.clone());
        metrics.memory.set(i64::try_from(config.memory).unwrap_or(i64::MAX));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let server = Arc::new(Server {
            receiver: Receiver::new(Parts {
                accept,
                limits: config.requests,
                budget,
                inflating: cores,
                metrics: Arc::clone(&metrics),
                senders: Arc::clone(&live.senders),
            }),
            // Nobody is answered who may not be, whatever is behind it.
            api: api
                .layer(from_fn_with_state(Arc::clone(&live.access), gate))
                // Those that are turned away count, too.
                .layer(from_fn_with_state(Arc::clone(&metrics), counted)),
            admin: Admin::new(Arc::clone(&metrics)),
            metrics: Arc::clone(&metrics),
            limits: config.connections,
            places: Arc::new(Semaphore::new(config.connections.open.min(Semaphore::MAX_PERMITS))),
            tls: live.tls.clone(),
            tls_for_api: config.access.required,
        });
        let mut ports = Vec::new();
        for &(port, address) in &config.listen {
            let refuse = |source| BindError { port: port.label(), address, source };
            let listener = TcpListener::bind(address).await.map_err(refuse)?;
            let bound = listener.local_addr().map_err(refuse)?;
            ports.push((port, bound, listener));
        }
        Ok(Self { config, live, metrics, server, ports })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (Port, SocketAddr)> {
        self.ports.iter().map(|(port, address, _)| (*port, *address))
    }

    /// Answers until `stop` says so; then takes no more connections, answers what was asked, for as long as the configuration
    /// says, and returns. Files are read again when they change, and all of them on `reload`.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>, reload: Arc<Notify>) {
        let Self { config, live, metrics, server, ports } = self;
        let (stop_receiving, stopped) = watch::channel(false);
        let (stop_admin, admin_stopped) = watch::channel(false);
        let (mut receiving, mut asking) = (JoinSet::new(), JoinSet::new());
        for (port, address, listener) in ports {
            tracing::info!(%address, "listening for {}", port.label());
            match port {
                Port::Spans(_) => {
                    receiving.spawn(Arc::clone(&server).listen(listener, port, stopped.clone()))
                }
                Port::Api | Port::Admin => {
                    asking.spawn(Arc::clone(&server).listen(listener, port, admin_stopped.clone()))
                }
            };
        }
        server.admin.enter(Phase::Ready);
        let drain = config.drain;
        let looking = tokio::spawn(look(config, live, metrics, reload));
        // Whoever could stop it is gone: so is the reason to go on.
        let _ = stop.wait_for(|stop| *stop).await;

        tracing::info!("stopping");
        server.admin.enter(Phase::Stopping);
        looking.abort();
        stop_receiving.send_replace(true);
        let ended = async { while receiving.join_next().await.is_some() {} };
        if timeout(drain, ended).await.is_err() {
            tracing::warn!("some requests are not answered: their clients send them again");
        }
        // Last, so that operators can see how it ends.
        receiving.shutdown().await;
        stop_admin.send_replace(true);
        asking.shutdown().await;
        tracing::info!("nothing more is received");
    }
}

async fn look(config: Config, mut live: Live, metrics: Arc<Metrics>, reload: Arc<Notify>) {
    let config = Arc::new(config);
    let mut ticks = interval(LOOK_EVERY);
    loop {
        let all = tokio::select! {
            _ = ticks.tick() => false,
            () = reload.notified() => true,
        };
        let (config, metrics) = (Arc::clone(&config), Arc::clone(&metrics));
        let aside = tokio::task::spawn_blocking(move || {
            live.look(&config, all, &metrics);
            live
        });
        // It does not panic, and if it did nothing would be read again.
        match aside.await {
            Ok(back) => live = back,
            Err(_) => return,
        }
    }
}
