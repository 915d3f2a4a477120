//! An agent that is a script.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Code, Request, Response, Status};

use super::*;
use crate::http::{Fetch, Fetching, HttpFault};
use crate::keys::{FetchFault, KeyStore};
use crate::testing::{Hand, Mint, NOW};
use crate::{Chain, Credential, Reason, Registry, UnixTime, Validated, Validator};

/// Of the Workload API, what is asked for.
#[derive(Clone, PartialEq, prost::Message)]
struct Bundles {
    #[prost(map = "string, bytes", tag = "1")]
    bundles: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct X509 {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<X509Svid>,
    #[prost(map = "string, bytes", tag = "3")]
    federated: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct X509Svid {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bytes = "vec", tag = "2")]
    chain: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Audiences {
    #[prost(string, repeated, tag = "1")]
    audiences: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Jwts {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<Jwt>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Jwt {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    svid: String,
}

/// What the agent says. Streams say it once more each time it changes.
#[derive(Clone, Default)]
struct Script {
    bundles: Arc<Mutex<Bundles>>,
    x509: Arc<Mutex<Vec<X509>>>,
    refuses: Arc<Mutex<bool>>,
    asked: Arc<AtomicU64>,
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Script {
    fn admits(&self, request: &tonic::metadata::MetadataMap) -> Result<(), Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // SPIFFE Workload Endpoint section 3: who does not send this may have been made to ask by somebody else.
        if request.get("workload.spiffe.io").is_none_or(|value| value != "true") {
            return Err(Status::invalid_argument("security header missing from request"));
        }
        match *self.refuses.lock().expect("lock") {
            true => Err(Status::new(Code::PermissionDenied, "no identity issued")),
            false => Ok(()),
        }
    }
}

impl ServerStreamingService<()> for Script {
    type Response = Bundles;
    type ResponseStream = Streamed<Bundles>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let said = self.admits(request.metadata()).map(|()| self.bundles.lock().expect("lock").clone());
        // Goes on for ever, as an agent's does.
        let stream = |said| Box::pin(tokio_stream::once(Ok(said)).chain(tokio_stream::pending())) as _;
        std::future::ready(said.map(|said| Response::new(stream(said))))
    }
}

/// The stream of certificates: all that there are, and then the end.
struct Certificates(Script);

impl ServerStreamingService<()> for Certificates {
    type Response = X509;
    type ResponseStream = Streamed<X509>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let said = self.0.admits(request.metadata()).map(|()| self.0.x509.lock().expect("lock").clone());
        let stream = |said: Vec<X509>| Box::pin(tokio_stream::iter(said.into_iter().map(Ok))) as _;
        std::future::ready(said.map(|said| Response::new(stream(said))))
    }
}

struct Tokens(Script);

impl UnaryService<Audiences> for Tokens {
    type Response = Jwts;
    type Future = std::future::Ready<Result<Response<Jwts>, Status>>;

    fn call(&mut self, request: Request<Audiences>) -> Self::Future {
        let admitted = self.0.admits(request.metadata());
        let audiences = serde_json::to_string(&request.into_inner().audiences).expect("JSON");
        let svid = Mint::svid().set("aud", &audiences).text();
        let svids = vec![Jwt { id: CART.to_owned(), svid }];
        std::future::ready(admitted.map(|()| Response::new(Jwts { svids })))
    }
}

impl NamedService for Script {
    const NAME: &'static str = "SpiffeWorkloadAPI";
}

impl tower_service::Service<::http::Request<Body>> for Script {
    type Response = ::http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<Body>) -> Self::Future {
        let script = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/SpiffeWorkloadAPI/FetchJWTBundles" => {
                    Grpc::new(tonic_prost::ProstCodec::default()).server_streaming(script, request).await
                }
                "/SpiffeWorkloadAPI/FetchX509SVID" => {
                    let codec = tonic_prost::ProstCodec::default();
                    Grpc::new(codec).server_streaming(Certificates(script), request).await
                }
                "/SpiffeWorkloadAPI/FetchJWTSVID" => {
                    Grpc::new(tonic_prost::ProstCodec::default()).unary(Tokens(script), request).await
                }
                other => panic!("nobody asks for {other}"),
            })
        })
    }
}

/// An agent behind a socket, until it is dropped.
struct Agent {
    script: Script,
    folder: tempfile::TempDir,
    running: tokio::task::JoinHandle<()>,
}

impl Agent {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = Script::default();
        let listener = tokio::net::UnixListener::bind(folder.path().join("agent.sock")).expect("a socket");
        let server = tonic::transport::Server::builder().add_service(script.clone());
        let running = tokio::spawn(async move {
            server.serve_with_incoming(UnixListenerStream::new(listener)).await.expect("serves");
        });
        Self { script, folder, running }
    }

    fn socket(&self) -> String {
        format!("unix://{}/agent.sock", self.folder.path().display())
    }

    fn says(&self, trust_domain: &str, keys: &[&str]) {
        let jwks = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let mut said = self.script.bundles.lock().expect("lock");
        said.bundles.insert(trust_domain.to_owned(), jwks.into_bytes());
    }

    fn asked(&self) -> u64 {
        self.script.asked.load(Ordering::SeqCst)
    }

    fn stop(&self) {
        self.running.abort();
        std::fs::remove_file(self.folder.path().join("agent.sock")).expect("was there");
    }
}

/// No web server is asked for anything.
#[derive(Debug)]
struct Nobody;

impl Fetch for Nobody {
    fn fetch(&self, request: crate::http::Request) -> Fetching<'_> {
        panic!("asks for {request:?}")
    }
}

const CART: &str = "spiffe://prod.example/cart";

/// The key of [`Mint::svid`], as an agent has it: without `use`.
fn key(kid: &str) -> String {
    crate::testing::p256(kid)
}

fn store(registry: &Registry, clock: &Hand) -> KeyStore {
    KeyStore::builder(registry, Nobody).clock(clock.clone()).build().expect("a store")
}

fn registry(socket: &str) -> Registry {
    Registry::from_yaml(&format!(
        "
issuers:
  - name: mesh
    kind: spiffe
    issuer: prod.example
    workload_api: {socket}
    audiences: [orders]
    algorithms: [ES256]
"
    ))
    .expect("a registry")
}

async fn who(gate: &Validator<KeyStore>, mint: &Mint) -> String {
    match gate.validate(&mint.token(), Credential::JwtSvid).await {
        Ok(Validated::Verified(verified)) => verified.principal().id.clone(),
        Ok(Validated::Refused(refused)) => refused.reason().as_str().to_owned(),
        Err(undecided) => undecided.to_string(),
    }
}

/// Keys of an agent are kept by the rules for all keys: found with the first token, found anew when one is not known, not asked for
/// again and again, good while the agent is away, and not for ever.
#[tokio::test]
async fn keys_come_from_the_agent_by_the_rules_for_all_keys() {
    let (agent, clock) = (Agent::start(), Hand::default());
    agent.says("prod.example", &[&key("e1")]);
    agent.says("other.example", &[&key("e9")]);
    let registry = registry(&agent.socket());
    let keys = store(&registry, &clock);
    let gate = Validator::new(&registry, keys.clone()).clock(clock.clone());
    let (old, new) = (Mint::svid(), Mint::svid().header("kid", r#""e2""#));
    let strange = Mint::svid().header("kid", r#""e9""#);
    assert_eq!(agent.asked(), 0);
    assert_eq!(who(&gate, &old).await, CART);
    assert_eq!(who(&gate, &old).await, CART);
    assert_eq!(agent.asked(), 1);

    agent.says("prod.example", &[&key("e1"), &key("e2")]);
    assert_eq!(who(&gate, &new).await, CART, "asked for at once");
    assert_eq!(who(&gate, &strange).await, "unknown_key", "of another trust domain");
    let asked = agent.asked();
    for _ in 0..20 {
        assert_eq!(who(&gate, &strange).await, "unknown_key");
    }
    assert_eq!(agent.asked(), asked, "once is enough");

    agent.says("prod.example", &[&key("e2")]);
    clock.set(NOW.plus(60));
    let epoch = keys.in_hand("mesh").expect("keys").epoch;
    assert_eq!(who(&gate, &Mint::svid().header("kid", r#""e3""#)).await, "unknown_key");
    assert_eq!(who(&gate, &old).await, "unknown_key", "withdrawn");
    assert!(keys.in_hand("mesh").expect("keys").epoch > epoch);

    agent.stop();
    clock.set(NOW.plus(100));
    assert_eq!(who(&gate, &new).await, CART, "the agent is away");
    assert_eq!(who(&gate, &Mint::svid().header("kid", r#""e4""#)).await, "no keys of `mesh` are at hand");
    let fault = keys.status().pop().and_then(|status| status.fault);
    assert_eq!(fault, Some(FetchFault::WorkloadApi(WorkloadFault::Connection)));
    clock.set(NOW.plus(60 + 3601));
    assert_eq!(who(&gate, &new).await, "no keys of `mesh` are at hand", "for too long");
}

/// What an agent does not say, or says wrongly, is told apart.
#[tokio::test]
async fn what_an_agent_does_not_say() {
    let agent = Agent::start();
    let api = WorkloadApi::at(&agent.socket()).expect("a socket");
    agent.says("other.example", &[&key("e9")]);
    assert_eq!(api.jwt_bundle("prod.example").await, Err(WorkloadFault::NoBundle));
    agent.says("prod.example", &["7"]);
    assert_eq!(api.jwt_bundle("prod.example").await, Err(WorkloadFault::Answer));
    assert_eq!(api.x509().await.err(), Some(WorkloadFault::Answer), "nothing at all");
    *agent.script.refuses.lock().expect("lock") = true;
    assert_eq!(api.jwt_bundle("prod.example").await, Err(WorkloadFault::NotIssued));
    assert_eq!(api.x509().await.err(), Some(WorkloadFault::NotIssued));
    assert_eq!(api.jwt_svid(&["orders"]).await.err(), Some(WorkloadFault::NotIssued));
    agent.stop();
    assert_eq!(api.x509().await.err(), Some(WorkloadFault::Connection));
    for socket in ["", "/run/agent.sock", "tcp://127.0.0.1:1", "unix://host/run/agent.sock", "unix:"] {
        assert_eq!(WorkloadApi::at(socket).err(), Some(WorkloadFault::Address), "{socket}");
    }
}

/// The SVID of a workload is made for whom it is asked for, and is good there.
#[tokio::test]
async fn a_workload_gets_a_token_for_whom_it_calls() {
    let (agent, clock) = (Agent::start(), Hand::default());
    agent.says("prod.example", &[&key("e1")]);
    let api = WorkloadApi::at(&agent.socket()).expect("a socket");
    let registry = registry(&agent.socket());
    let gate = Validator::new(&registry, store(&registry, &clock)).clock(clock);
    for (audience, good) in [("orders", true), ("billing", false)] {
        let token = api.jwt_svid(&[audience]).await.expect("a token");
        let judged = gate.validate(&token, Credential::JwtSvid).await.expect("keys");
        let reason = judged.refused().map(crate::Refused::reason);
        assert_eq!(reason, (!good).then_some(Reason::Audience), "{audience}");
    }
}

/// The certificate of a workload in a trust domain; its key; the authority.
fn issued(trust_domain: &str) -> X509Svid {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let id = format!("spiffe://{trust_domain}");
    params.subject_alt_names = vec![SanType::URI(id.as_str().try_into().expect("ASCII"))];
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    let mut params = CertificateParams::default();
    let id = format!("spiffe://{trust_domain}/cart");
    params.subject_alt_names = vec![SanType::URI(id.as_str().try_into().expect("ASCII"))];
    params.not_before = date_time_ymd(2027, 1, 15);
    params.not_after = date_time_ymd(2027, 1, 16);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.is_ca = IsCa::ExplicitNoCa;
    let key = KeyPair::generate().expect("a key");
    let leaf = params.signed_by(&key, &authority).expect("a certificate");
    let bundle = authority.der().to_vec();
    X509Svid { id, chain: leaf.der().to_vec(), key: key.serialize_der(), bundle }
}

/// Certificates and authorities come together, and again when they are replaced; and hold the certificates of others.
#[tokio::test]
async fn certificates_come_with_the_authorities_of_all_who_are_trusted() {
    let agent = Agent::start();
    let (ours, next, friend) = (issued("prod.example"), issued("prod.example"), issued("friend.example"));
    let said = |svid: &X509Svid| X509 {
        svids: vec![svid.clone()],
        federated: [("spiffe://friend.example".to_owned(), friend.bundle.clone())].into(),
    };
    *agent.script.x509.lock().expect("lock") = vec![said(&ours), said(&next)];
    let api = WorkloadApi::at(&agent.socket()).expect("a socket");
    let now = api.x509().await.expect("certificates");
    let [svid] = now.svids.as_slice() else { panic!("{now:?}") };
    assert_eq!((svid.id.as_str(), svid.chain.as_slice()), (CART, &[ours.chain.clone()][..]));
    assert_eq!(*svid.key, ours.key);
    assert!(!format!("{now:?}").contains("key"), "{now:?}");

    let mut updates = api.updates().await.expect("a stream");
    let mut seen = Vec::new();
    while let Some(update) = updates.next().await {
        seen.push(update.expect("good").svids.remove(0).chain.remove(0));
    }
    assert_eq!(seen, [ours.chain.clone(), next.chain]);

    let registry = Registry::from_yaml(
        "
issuers:
  - {name: mesh, kind: spiffe, issuer: prod.example, jwks: '{}', audiences: [orders], algorithms: [ES256], max_lifetime: 72h}
  - {name: friends, kind: spiffe, issuer: friend.example, jwks: '{}', audiences: [orders], algorithms: [ES256], max_lifetime: 72h}
",
    )
    .expect("a registry");
    let gate = Validator::new(&registry, crate::keys::FixedKeys::default()).clock(UnixTime(NOW.0));
    for (chain, trust_domain, reason) in [
        (&ours.chain, "prod.example", None),
        (&friend.chain, "friend.example", None),
        (&friend.chain, "prod.example", Some(Reason::Issuer)),
    ] {
        let bundle = now.bundle(trust_domain).expect("a bundle");
        let judged = gate.validate_peer(&[chain.as_slice()], Chain::Against(bundle));
        assert_eq!(judged.refused().map(crate::Refused::reason), reason, "{trust_domain}");
    }
    assert!(now.bundle("evil.example").is_none());
}

/// A store that cannot be made says so: nothing is asked of a socket that is none.
#[test]
fn a_fault_has_a_word() {
    let fault = FetchFault::WorkloadApi(WorkloadFault::Timeout);
    assert_eq!((fault.as_str(), FetchFault::Http(HttpFault::Timeout).as_str()), ("workload_api", "timeout"));
}
