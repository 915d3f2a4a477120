//! An identity provider that does wrong on demand. It speaks HTTP by hand: a library for servers would not let it lie.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// 200 with this body.
    Says(String),
    /// This status, these header lines, this body, and whatever they contradict.
    Raw(&'static str, Vec<String>, Vec<u8>),
    /// Takes the request and never answers.
    Mute,
    /// A body that comes byte by byte and never ends.
    Drip,
    /// A body without end, as fast as it can.
    Endless,
    /// Hangs up.
    HangUp,
}

impl Act {
    /// Another place to ask.
    pub(crate) fn redirect(to: &str) -> Self {
        Self::Raw("302 Found", vec![format!("location: {to}"), "content-length: 0".to_owned()], Vec::new())
    }

    /// Ten megabytes of nothing, in ten kilobytes.
    pub(crate) fn bomb() -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b' '; 10 * 1024 * 1024]).unwrap();
        let body = encoder.finish().unwrap();
        let headers = vec!["content-encoding: gzip".to_owned(), format!("content-length: {}", body.len())];
        Self::Raw("200 OK", headers, body)
    }

    /// Less or more than it announces.
    pub(crate) fn lying(announced: u64, body: &str) -> Self {
        let headers = vec![format!("content-length: {announced}")];
        Self::Raw("200 OK", headers, body.as_bytes().to_vec())
    }
}

/// A provider on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Idp {
    /// Its address, which is what it calls itself.
    pub(crate) id: String,
    acts: Arc<Mutex<HashMap<String, Act>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Idp {
    /// Starts one whose metadata is in order and whose keys are these.
    pub(crate) async fn start(keys: &str) -> Self {
        Self::start_as("http", keys, None).await
    }

    /// The same behind TLS.
    pub(crate) async fn start_tls(keys: &str, acceptor: TlsAcceptor) -> Self {
        Self::start_as("https", keys, Some(acceptor)).await
    }

    async fn start_as(scheme: &str, keys: &str, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let id = format!("{scheme}://{}", listener.local_addr().unwrap());
        let idp = Self { id, acts: Arc::default(), requests: Arc::default() };
        idp.on("/.well-known/openid-configuration", Act::Says(idp.metadata(&idp.id, "/jwks")));
        idp.on("/jwks", Act::Says(keys.to_owned()));
        let server = idp.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, acceptor) = (server.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => server.serve(stream).await,
                        Some(acceptor) => server.serve(acceptor.accept(stream).await.ok()?).await,
                    }
                });
            }
        });
        idp
    }

    pub(crate) fn metadata(&self, issuer: &str, keys: &str) -> String {
        let keys = if keys.starts_with('/') { format!("{}{keys}", self.id) } else { keys.to_owned() };
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}"}}"#)
    }

    /// What it does from now on when asked for this path.
    pub(crate) fn on(&self, path: &str, act: Act) {
        self.acts.lock().unwrap().insert(path.to_owned(), act);
    }

    /// How often it was asked for this path.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<u64>().ok());
        tokio::io::copy(&mut (&mut stream).take(length.unwrap_or(0)), &mut tokio::io::sink()).await.ok()?;
        let path = head.split(' ').nth(1)?.to_owned();
        self.requests.lock().unwrap().push(path.clone());
        let act = self.acts.lock().unwrap().get(&path).cloned();
        let (status, mut headers, body) = match act {
            None => ("404 Not Found", vec!["content-length: 0".to_owned()], Vec::new()),
            Some(Act::Says(body)) => {
                ("200 OK", vec![format!("content-length: {}", body.len())], body.into_bytes())
            }
            Some(Act::Raw(status, headers, body)) => (status, headers, body),
            Some(Act::Mute) => return std::future::pending().await,
            Some(Act::Drip | Act::Endless) => {
                ("200 OK", vec!["transfer-encoding: chunked".to_owned()], Vec::new())
            }
            Some(Act::HangUp) => return None,
        };
        headers.push("connection: close".to_owned());
        let head = format!("HTTP/1.1 {status}\r\n{}\r\n\r\n", headers.join("\r\n"));
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(&body).await.ok()?;
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        while matches!(self.acts.lock().unwrap().get(&path), Some(Act::Drip)) {
            stream.write_all(b"1\r\n \r\n").await.ok()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while matches!(self.acts.lock().unwrap().get(&path), Some(Act::Endless)) {
            stream.write_all(chunk.as_bytes()).await.ok()?;
        }
        stream.shutdown().await.ok()
    }
}
