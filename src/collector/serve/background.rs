//! The service beside whatever else a process does.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::config::Config;
use super::listen::Port;
use super::receiver::Protocol;
use super::run::{ServeError, serve};

/// A service on threads of its own, until it is stopped or dropped. It heeds no signals.
#[derive(Debug)]
pub(crate) struct Background {
    addresses: Vec<(Port, SocketAddr)>,
    stop: watch::Sender<bool>,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Background {
    /// Starts it with a configuration, and waits until its ports are bound.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) fn start(config: &Path) -> Result<Self, ServeError> {
        let config = Config::load(Some(config))?;
        let (tell, bound) = channel();
        let serve = move || {
            serve(config, |addresses, stop, _| {
                // Whoever waits for it waits below.
                let _ = tell.send((addresses.to_vec(), stop.clone()));
                Ok(std::future::pending())
            })
        };
        let serving = std::thread::Builder::new().name("serve".to_owned()).spawn(serve);
        let serving = serving.map_err(ServeError::Start)?;
        match bound.recv() {
            Ok((addresses, stop)) => Ok(Self { addresses, stop, serving: Some(serving) }),
            // It ended before it had its ports.
            Err(_) => Err(serving.join().ok().and_then(Result::err).unwrap_or(ServeError::Ended)),
        }
    }

    /// Where it takes OTLP over HTTP, if it does.
    pub(crate) fn otlp_http(&self) -> Option<SocketAddr> {
        self.address(Port::Spans(Protocol::OtlpHttp))
    }

    /// Where its API is, if it has one.
    pub(crate) fn api(&self) -> Option<SocketAddr> {
        self.address(Port::Api)
    }

    pub(super) fn address(&self, of: Port) -> Option<SocketAddr> {
        self.addresses.iter().find(|(port, _)| *port == of).map(|(_, address)| *address)
    }

    /// Stops it, and waits until what was found is kept.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) fn stop(mut self) -> Result<(), ServeError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), ServeError> {
        self.stop.send_replace(true);
        let Some(serving) = self.serving.take() else { return Ok(()) };
        serving.join().unwrap_or(Err(ServeError::Ended))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Nobody is left to hear of a fault.
        let _ = self.end();
    }
}
