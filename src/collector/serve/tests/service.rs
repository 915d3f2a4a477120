//! The whole service over real sockets: TLS, certificates of clients, what is read again, metrics, the end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Kept;
use crate::serve::access::Asker;
use crate::serve::config::Config;
use crate::serve::delivery::Sender;
use crate::serve::listen::Port;
use crate::serve::live::Live;
use crate::serve::metrics::Metrics;
use crate::serve::receiver::Protocol;
use crate::serve::service::Service;

pub(super) const POST: &str = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n\
                    content-length: 2\r\n\r\n{}";

/// An authority, and what it signs.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Writes the files of a collector that believes this authority. Returns its certificate.
    pub(super) fn certify(&self, folder: &Path) -> CertificateDer<'static> {
        let (certificate, key) = self.issue(vec![dns("collector")]);
        pem(&folder.join("server.pem"), "CERTIFICATE", &certificate);
        pem(&folder.join("server.key"), "PRIVATE KEY", key.secret_der());
        pem(&folder.join("ca.pem"), "CERTIFICATE", self.0.der());
        certificate
    }

    pub(super) fn issue(&self, names: Vec<SanType>) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let der = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (certificate.der().clone(), der)
    }
}

pub(super) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("ASCII"))
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().expect("ASCII"))
}

pub(super) fn pem(path: &Path, label: &str, der: &[u8]) {
    let text = STANDARD.encode(der);
    std::fs::write(path, format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"))
        .expect("written");
}

/// Answers with the role of whoever asks.
fn shows_role() -> axum::Router {
    axum::Router::new().fallback(async |asker: axum::Extension<Asker>| asker.role.as_str())
}

/// Connects by TLS, with or without a certificate.
async fn connect(
    tcp: TcpStream,
    authority: &Authority,
    client: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = builder.with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate], key).expect("a certificate")
        }
    };
    let name = ServerName::try_from("collector").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// A service, running.
pub(super) struct Running {
    pub(super) kept: Arc<Kept>,
    metrics: Arc<Metrics>,
    addresses: Vec<(Port, SocketAddr)>,
    pub(super) stop: watch::Sender<bool>,
    reload: Arc<Notify>,
    pub(super) running: JoinHandle<()>,
}

impl Running {
    pub(super) async fn start(config: &Path) -> Self {
        Self::start_with(config, shows_role()).await
    }

    /// The same with that API.
    pub(super) async fn start_with(config: &Path, api: axum::Router) -> Self {
        let config = Config::load(Some(config)).expect("a configuration");
        let live = Live::load(&config).expect("files");
        let (kept, metrics, reload) =
            (Arc::<Kept>::default(), Arc::new(Metrics::new()), Arc::<Notify>::default());
        let (stop, stopped) = watch::channel(false);
        let service = Service::bind(config, live, Arc::clone(&kept), Arc::clone(&metrics), api).await;
        let service = service.expect("ports");
        let addresses = service.addresses().collect();
        let running = tokio::spawn(service.run(stopped, Arc::clone(&reload)));
        Self { kept, metrics, addresses, stop, reload, running }
    }

    pub(super) fn address(&self, port: Port) -> SocketAddr {
        self.addresses.iter().find(|(bound, _)| *bound == port).expect("bound").1
    }

    pub(super) async fn tcp(&self, port: Port) -> TcpStream {
        TcpStream::connect(self.address(port)).await.expect("connects")
    }

    /// The names of senders so far.
    pub(super) fn senders(&self) -> Vec<Option<String>> {
        let deliveries = self.kept.deliveries.lock().expect("held");
        let name = |sender: &Sender| match sender {
            Sender::Authenticated(id) => Some(id.name.clone()),
            Sender::Unauthenticated => None,
        };
        deliveries.iter().map(|delivery| name(&delivery.sender)).collect()
    }

    /// Waits until files were read again so often, with this result.
    async fn reloaded(&self, result: &str, times: u32) {
        let line = format!("hopseal_reloads_total{{what=\"certificates\",result=\"{result}\"}} {times}");
        while !self.metrics.text().contains(&line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(super) async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    // A peer may close without saying so when it has said all.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

pub(super) const HTTP: Port = Port::Spans(Protocol::OtlpHttp);

/// Scenario: spans, health and metrics on ports of their own; then the signal to stop.
/// Guarantees: each answers, what is counted shows, and after the end nobody does.
#[tokio::test]
async fn a_service_from_its_start_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopseal.yaml");
    let listen = "listen: {otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, admin: 127.0.0.1:0}";
    std::fs::write(&config, format!("{listen}\nlimits: {{connections: 2}}\n")).expect("written");
    let running = Running::start(&config).await;
    assert!(ask(running.tcp(HTTP).await, POST).await.starts_with("HTTP/1.1 200 "));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let admin = async |path: &str| ask(running.tcp(Port::Admin).await, &get(path)).await;
    assert!(admin("/readyz").await.starts_with("HTTP/1.1 200 "));
    let metrics = admin("/metrics").await;
    for line in [
        "hopseal_receive_requests_total{protocol=\"otlp_http\",result=\"accepted\"} 1",
        "hopseal_receive_body_bytes_total{protocol=\"otlp_http\"} 2",
        "hopseal_connections{protocol=\"otlp_http\"} 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // Two hold all the places.
    let (_one, _two) = (running.tcp(HTTP).await, running.tcp(HTTP).await);
    while !running.metrics.text().contains("hopseal_connections{protocol=\"otlp_http\"} 2") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ask(running.tcp(HTTP).await, POST).await, "");
    assert!(
        running.metrics.text().contains("hopseal_connections_turned_away_total{protocol=\"otlp_http\"} 1")
    );
    assert_eq!(running.senders(), [None]);

    running.stop.send_replace(true);
    running.running.await.expect("ends well");
    let (_, address) = running.addresses[0];
    assert!(TcpStream::connect(address).await.is_err());
}

/// Scenario: the signal to stop comes while one request is not here whole, and never will be, and another is never answered.
/// Guarantees: neither holds the end up for longer than the configuration says, though both might take much longer else.
#[tokio::test]
async fn what_never_ends_does_not_hold_the_end_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopseal.yaml");
    let text =
        "listen: {otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: null, admin: 127.0.0.1:0}
limits: {drain: 700ms, receive: 10m}
";
    std::fs::write(&config, text).expect("written");
    for half in [POST.strip_suffix('}').expect("a body"), POST] {
        let running = Running::start(&config).await;
        *running.kept.wait_for.lock().expect("held") = Some(Arc::<Notify>::default());
        let mut stream = running.tcp(HTTP).await;
        stream.write_all(half.as_bytes()).await.expect("written");
        let is_here = || match half == POST {
            true => !running.senders().is_empty(),
            false => running.metrics.text().contains("hopseal_connections{protocol=\"otlp_http\"} 1"),
        };
        while !is_here() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.stop.send_replace(true);
        let began = tokio::time::Instant::now();
        let ended = tokio::time::timeout(Duration::from_secs(20), running.running).await;
        ended.expect("in time").expect("ends well");
        assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert_eq!(answer, "", "nobody is told that it was kept");
    }
}

/// Scenario: mTLS; senders by SPIFFE ID and by DNS name, a stranger, and a client without a certificate.
/// Guarantees: who is known is named with the delivery, and nobody else gets in.
#[tokio::test]
async fn senders_by_their_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, other) = (Authority::new(), Authority::new());
    let certificate = authority.certify(folder.path());
    let config = folder.path().join("hopseal.yaml");
    let text = "\
listen: {otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, admin: null}
tls: {certificate: server.pem, key: server.key, client_authorities: ca.pem}
senders:
  required: true
  known:
    - {name: cart, services: [cart], spiffe_ids: ['spiffe://prod.example/cart']}
    - {name: shop, services: ['shop-*'], dns_names: [Agent.Shop]}
";
    std::fs::write(&config, text).expect("written");
    let running = Running::start(&config).await;
    let connect = async |client| connect(running.tcp(HTTP).await, &authority, client).await;
    for (client, status, sender) in [
        (Some(authority.issue(vec![uri("spiffe://prod.example/cart"), dns("x")])), "200", Some("cart")),
        (Some(authority.issue(vec![dns("agent.shop")])), "200", Some("shop")),
        (Some(authority.issue(vec![dns("stranger"), uri("spiffe://prod.example/cart/x")])), "403", None),
        (Some(other.issue(vec![uri("spiffe://prod.example/cart")])), "", None),
        (None, "401", None),
    ] {
        let before = running.senders().len();
        // With TLS 1.3 a client learns that its certificate is refused when it reads.
        let answer = match connect(client).await {
            Ok(stream) => ask(stream, POST).await,
            Err(_) => String::new(),
        };
        assert_eq!(answer.get(9..12).unwrap_or(""), status, "{answer}");
        assert_eq!(running.senders().get(before).cloned().flatten().as_deref(), sender);
    }
    // No TLS, no answer.
    assert!(!ask(running.tcp(HTTP).await, POST).await.starts_with("HTTP/1.1"));

    // Another certificate, then a file that is none.
    let serial = async || {
        let stream = connect(Some(authority.issue(vec![dns("agent.shop")]))).await.expect("connects");
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone()
    };
    assert_eq!(serial().await, certificate);
    let (renewed, key) = authority.issue(vec![dns("collector")]);
    pem(&folder.path().join("server.pem"), "CERTIFICATE", &renewed);
    pem(&folder.path().join("server.key"), "PRIVATE KEY", key.secret_der());
    running.reload.notify_one();
    running.reloaded("ok", 1).await;
    assert_eq!(serial().await, renewed);
    std::fs::write(folder.path().join("server.key"), "no key").expect("written");
    running.reload.notify_one();
    running.reloaded("failed", 1).await;
    assert_eq!(serial().await, renewed);
    running.stop.send_replace(true);
    running.running.await.expect("ends well");
}

/// Scenario: mTLS; somebody of each role asks, a stranger, and a client without a certificate.
/// Guarantees: each is answered what their role may see, and nobody else anything; without TLS there is no answer.
#[tokio::test]
async fn who_asks_by_their_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.certify(folder.path());
    let config = folder.path().join("hopseal.yaml");
    let text = "\
listen: {otlp_grpc: null, otlp_http: null, zipkin: null, api: 127.0.0.1:0, admin: null}
tls: {certificate: server.pem, key: server.key, client_authorities: ca.pem}
access:
  required: true
  known:
    - {role: reader, dns_names: [Board.Shop, audit.shop]}
    - {role: auditor, dns_names: [audit.shop]}
    - {role: admin, spiffe_ids: ['spiffe://prod.example/security']}
";
    std::fs::write(&config, text).expect("written");
    let running = Running::start(&config).await;
    let (board, audit) = (vec![dns("board.shop")], vec![dns("audit.shop")]);
    let (security, stranger) = (vec![uri("spiffe://prod.example/security")], vec![dns("x")]);
    for (who, what, expected) in [
        (Some(&board), "GET /api/v1/edges", (200, "reader")),
        (Some(&board), "GET /api/v1/hops?user=alice", (403, "another role")),
        (Some(&board), "PATCH /api/v1/findings/00", (403, "another role")),
        (Some(&audit), "GET /api/v1/hops?user=alice", (200, "auditor")),
        (Some(&audit), "PATCH /api/v1/findings/00", (403, "another role")),
        (Some(&security), "PATCH /api/v1/findings/00", (200, "admin")),
        (Some(&stranger), "GET /api/v1/edges", (403, "")),
        (None, "GET /api/v1/edges", (401, "www-authenticate: Bearer")),
    ] {
        let client = who.map(|names| authority.issue(names.clone()));
        let stream = connect(running.tcp(Port::Api).await, &authority, client).await.expect("connects");
        let request = format!("{what} HTTP/1.1\r\nhost: hopseal.shop\r\nconnection: close\r\n\r\n");
        let answer = ask(stream, &request).await;
        assert_eq!(
            answer.get(9..12).and_then(|status| status.parse().ok()),
            Some(expected.0),
            "{what}: {answer}"
        );
        assert!(answer.contains(expected.1), "{what}: {answer}");
    }
    let plain = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(!ask(running.tcp(Port::Api).await, plain).await.starts_with("HTTP/1.1"));
    running.stop.send_replace(true);
    running.running.await.expect("ends well");
}

/// Scenario: the policy changes, then becomes one that cannot be used.
/// Guarantees: the change is in force, and the last good one stays so.
#[test]
fn a_bad_policy_keeps_the_last_good_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("hopseal.yaml"), "judging: {policy: policy.yaml}").expect("written");
    std::fs::write(path("policy.yaml"), "thresholds: {max_actors: 2}").expect("written");
    let config = Config::load(Some(&path("hopseal.yaml"))).expect("a configuration");
    let mut live = Live::load(&config).expect("files");
    let rules = Arc::clone(&live.rules);
    let in_force = || rules.load().policy.thresholds.max_actors;
    let metrics = Metrics::new();
    for (written, all, expected) in [
        (None, false, 2),
        (Some("thresholds: {max_actors: 33}"), false, 33),
        (Some("thresholds: {max_actors: many}"), false, 33),
        (None, true, 33),
        (Some("thresholds: {max_actors: 444}"), false, 444),
    ] {
        if let Some(text) = written {
            std::fs::write(path("policy.yaml"), text).expect("written");
        }
        live.look(&config, all, &metrics);
        assert_eq!(in_force(), expected, "{written:?}");
    }
    let text = metrics.text();
    for line in ["what=\"rules\",result=\"ok\"} 2", "what=\"rules\",result=\"failed\"} 2"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn files_that_cannot_be_used_are_said_with_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("empty"), "").expect("written");
    std::fs::write(path("wrong.yaml"), "publc: []").expect("written");
    std::fs::write(path("trust.yaml"), "issuers: []").expect("written");
    for (text, said) in [
        ("judging: {policy: none.yaml}", "none.yaml"),
        ("judging: {policy: wrong.yaml}", "line 1, column 1: there is no key `publc`"),
        ("judging: {keys: none.json, trust_domain: a.example}", "none.json"),
        ("tls: {certificate: none.pem, key: none.key}", "none.pem"),
        ("tls: {certificate: empty, key: empty}", "empty"),
        ("senders: {registry: none.yaml}", "cannot read trust registry"),
        ("senders: {registry: wrong.yaml}", "trust registry"),
        (
            "senders: {registry: trust.yaml, known: [{name: a, services: [b], tokens: [{issuer: i, subject: s}]}]}",
            "has no issuer `i`, whose tokens the sender `a` is known by",
        ),
        (
            "access: {registry: trust.yaml, known: [{role: reader, tokens: [{issuer: i, role: s}]}]}",
            "has no issuer `i`, whose tokens some with the role `reader` are known by",
        ),
    ] {
        std::fs::write(path("hopseal.yaml"), text).expect("written");
        let config = Config::load(Some(&path("hopseal.yaml"))).expect("a configuration");
        let error = Live::load(&config).map(drop).expect_err(text);
        let chain = crate::serve::live::chain(&error);
        assert!(chain.contains(said), "{text}: {chain}");
    }
}
