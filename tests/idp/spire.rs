//! SPIRE: workloads that are known by their SVIDs, from the socket of an agent.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hopseal::http::{Http, HttpSettings};
use hopseal::keys::{FixedKeys, KeySource, KeyStore};
use hopseal::{
    Algorithm, Chain, Credential, IssuerBuilder, IssuerKind, Kind, Reason, Registry, RegistryFile, Token,
    Validated, Validator, WorkloadApi, WorkloadFault, X509Bundle,
};
use serde_json::Value;

use crate::lab::Hand;
use crate::tls::Authority;

/// A server, an agent and what they keep, on this machine alone. They end with this.
struct Spire {
    programs: PathBuf,
    kept: tempfile::TempDir,
    /// Where the server publishes the bundle of its trust domain, by the certificate of `authority`.
    bundle: String,
    running: Vec<Child>,
}

impl Drop for Spire {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const NODE: &str = "spiffe://prod.example/node";
const CART: &str = "spiffe://prod.example/cart";

impl Spire {
    async fn start(authority: &Authority) -> Self {
        let programs = std::env::var_os("HOPSEAL_SPIRE").map(PathBuf::from);
        let programs = programs.expect("HOPSEAL_SPIRE names its folder: `cargo xtask e2e` sets it");
        let kept = tempfile::tempdir().unwrap();
        let folder = kept.path().display();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, endpoint) = (free(), free());
        let (certificate, key) = authority.issue("127.0.0.1");
        std::fs::write(kept.path().join("bundle.pem"), certificate).unwrap();
        std::fs::write(kept.path().join("bundle.key"), key).unwrap();
        let server = format!(
            r#"server {{
                bind_address = "127.0.0.1" bind_port = "{port}" socket_path = "{folder}/server.sock"
                trust_domain = "prod.example" data_dir = "{folder}/server" default_jwt_svid_ttl = "5m" log_level = "ERROR"
                federation {{ bundle_endpoint {{ address = "127.0.0.1" port = {endpoint}
                    profile "https_web" {{ serving_cert_file {{
                        cert_file_path = "{folder}/bundle.pem" key_file_path = "{folder}/bundle.key"
                        file_sync_interval = "1m" }} }} }} }}
            }}
            plugins {{
                DataStore "sql" {{ plugin_data {{
                    database_type = "sqlite3" connection_string = "{folder}/store.sqlite3" }} }}
                NodeAttestor "join_token" {{ plugin_data {{}} }}
                KeyManager "memory" {{ plugin_data {{}} }}
            }}"#
        );
        let bundle = format!("https://127.0.0.1:{endpoint}");
        let mut spire = Self { programs, kept, bundle, running: Vec::new() };
        spire.run("spire-server", &server);
        spire.until(&["healthcheck"]).await;
        let token = spire.server(&["token", "generate", "-spiffeID", NODE, "-output", "json"]);
        let token: Value = serde_json::from_str(&token).unwrap();
        let entry = ["entry", "create", "-parentID", NODE, "-spiffeID", CART, "-selector", "unix:uid:0"];
        spire.server(&entry);
        let agent = format!(
            r#"agent {{
                data_dir = "{folder}/agent" server_address = "127.0.0.1" server_port = "{port}"
                socket_path = "{folder}/agent.sock" trust_domain = "prod.example" insecure_bootstrap = true log_level = "FATAL"
                join_token = "{}"
            }}
            plugins {{
                NodeAttestor "join_token" {{ plugin_data {{}} }}
                KeyManager "memory" {{ plugin_data {{}} }}
                WorkloadAttestor "unix" {{ plugin_data {{}} }}
            }}"#,
            token["value"].as_str().unwrap(),
            folder = spire.kept.path().display(),
        );
        spire.run("spire-agent", &agent);
        for _ in 0..120 {
            if spire.agent(&["x509"]).is_some() {
                return spire;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("the agent hands out nothing");
    }

    fn run(&mut self, program: &str, config: &str) {
        let file = self.kept.path().join(format!("{program}.conf"));
        std::fs::write(&file, config).unwrap();
        let child = Command::new(self.programs.join(program))
            .args(["run", "-config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit()) // it says little unless something is wrong
            .spawn()
            .unwrap();
        self.running.push(child);
    }

    fn ask(&self, program: &str, socket: &str, command: &[&str]) -> Option<String> {
        let mut asking = Command::new(self.programs.join(program));
        asking.args(command).arg("-socketPath").arg(self.kept.path().join(socket));
        let output = asking.output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    async fn until(&self, command: &[&str]) {
        for _ in 0..120 {
            if self.ask("spire-server", "server.sock", command).is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("the server does not start");
    }

    fn server(&self, command: &[&str]) -> String {
        self.ask("spire-server", "server.sock", command).unwrap_or_else(|| panic!("{command:?}"))
    }

    /// What the Workload API says to this process, which is the workload `cart`.
    fn agent(&self, command: &[&str]) -> Option<Value> {
        let command = [&["api", "fetch"], command, &["-output", "json"]].concat();
        let answer = self.ask("spire-agent", "agent.sock", &command)?;
        Some(serde_json::from_str(&answer).unwrap())
    }

    /// The socket of the agent.
    fn socket(&self) -> String {
        format!("unix://{}/agent.sock", self.kept.path().display())
    }

    fn jwt_svid(&self) -> Token {
        let answer = self.agent(&["jwt", "-audience", "orders"]).unwrap();
        Token::new(answer[0]["svids"][0]["svid"].as_str().unwrap())
    }

    /// A new key for JWT-SVIDs, which signs from now on; the old one stays in the bundle.
    fn rotate(&self) -> String {
        let prepared = self.server(&["localauthority", "jwt", "prepare", "-output", "json"]);
        let prepared: Value = serde_json::from_str(&prepared).unwrap();
        let id = prepared["prepared_authority"]["authority_id"].as_str().unwrap();
        let activated =
            self.server(&["localauthority", "jwt", "activate", "-authorityID", id, "-output", "json"]);
        let shown: Value =
            serde_json::from_str(&self.server(&["localauthority", "jwt", "show", "-output", "json"]))
                .unwrap();
        shown["old"]["authority_id"].as_str().unwrap_or_else(|| panic!("{activated} {shown}")).to_owned()
    }
}

fn registry(bundle: &str) -> Registry {
    let mesh = IssuerBuilder::new(IssuerKind::Spiffe, "mesh", "prod.example")
        .jwks_uri(bundle)
        .audiences(["orders"])
        .algorithms([Algorithm::Es256])
        .loopback_http();
    Registry::new([mesh]).unwrap()
}

async fn who(gate: &Validator<impl KeySource>, token: &Token) -> Result<String, Reason> {
    match gate.validate(token, Credential::JwtSvid).await.unwrap() {
        Validated::Verified(verified) => {
            assert_eq!(verified.principal().kind, Kind::Service);
            Ok(verified.principal().id.clone())
        }
        Validated::Refused(refused) => Err(refused.reason()),
    }
}

/// A registry that names a file for the bundle, which somebody else writes, and a service that looks at it.
struct ByFile {
    folder: tempfile::TempDir,
    file: RegistryFile,
    gate: Validator<FixedKeys>,
}

impl ByFile {
    fn open(bundle: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bundle.json"), bundle).unwrap();
        let registry = "issuers: [{name: mesh, kind: spiffe, issuer: prod.example, jwks_file: bundle.json, audiences: [orders], algorithms: [ES256]}]";
        std::fs::write(folder.path().join("registry.yaml"), registry).unwrap();
        let (file, registry) = RegistryFile::open(folder.path().join("registry.yaml")).unwrap();
        Self { folder, file, gate: Validator::fixed(&registry).unwrap() }
    }

    fn renew(&mut self, bundle: &str) {
        std::fs::write(self.folder.path().join("bundle.json"), bundle).unwrap();
        let next = self.file.changed().unwrap().expect("another bundle");
        let keys = FixedKeys::of(&next).unwrap();
        self.gate.reload(&next, keys);
    }
}

/// Scenario: a workload gets its SVIDs from the agent's socket; the bundle comes from the server's own endpoint, by TLS, and to
/// another service by a file; the server takes another key for JWT-SVIDs, and then withdraws the first.
/// Guarantees: both kinds name the workload; a bundle of other authorities vouches for nobody; a JWT-SVID by the new key is good at
/// once, and by file once that was written; one by the old key is until the bundle is without it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIRE: `cargo xtask e2e`"]
async fn spire() {
    let authority = Authority::new();
    let spire = Spire::start(&authority).await;
    let mut settings = HttpSettings::default();
    settings.roots = Some(authority.pem().into_bytes());
    let (registry, clock) = (registry(&spire.bundle), Hand::new());
    let http = Http::new(&settings).unwrap();
    let keys = KeyStore::builder(&registry, http).clock(clock.clone()).build().unwrap();
    let gate = Validator::new(&registry, keys.clone());

    let old = spire.jwt_svid();
    assert_eq!(who(&gate, &old).await.as_deref(), Ok(CART));
    certificates(&spire, &gate);
    let bundle = || spire.server(&["bundle", "show", "-format", "spiffe"]);
    let mut by_file = ByFile::open(&bundle());
    assert_eq!(who(&by_file.gate, &old).await.as_deref(), Ok(CART));

    let id = spire.rotate();
    // The agent keeps the one that it handed out before until half of its time is over, but not for another audience.
    let answer = spire.agent(&["jwt", "-audience", "orders,billing"]).unwrap();
    let new = Token::new(answer[0]["svids"][0]["svid"].as_str().unwrap());
    assert_eq!(who(&gate, &new).await.as_deref(), Ok(CART), "found with the first token");
    assert_eq!(who(&by_file.gate, &new).await, Err(Reason::UnknownKey), "not written yet");
    by_file.renew(&bundle());
    assert_eq!(who(&by_file.gate, &new).await.as_deref(), Ok(CART));
    assert_eq!(who(&gate, &old).await.as_deref(), Ok(CART));

    let epoch = keys.in_hand("mesh").unwrap().epoch;
    spire.server(&["localauthority", "jwt", "taint", "-authorityID", &id]);
    spire.server(&["localauthority", "jwt", "revoke", "-authorityID", &id]);
    clock.forward(1800);
    for _ in 0..100 {
        let _ = who(&gate, &new).await;
        if keys.in_hand("mesh").unwrap().epoch > epoch {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    by_file.renew(&bundle());
    for judged in [who(&gate, &old).await, who(&by_file.gate, &old).await] {
        assert_eq!(judged, Err(Reason::UnknownKey));
    }
    for judged in [who(&gate, &new).await, who(&by_file.gate, &new).await] {
        assert_eq!(judged.as_deref(), Ok(CART));
    }
}

/// Scenario: nobody publishes anything; keys, bundles and SVIDs all come from the agent's socket. The server takes another key for
/// JWT-SVIDs.
/// Guarantees: a token that the agent hands out is good by the keys that it hands out, for whom it was asked for and nobody else, and
/// by the new key once the old one is not the only one; a certificate of it is good by its authorities; of another trust domain it
/// has nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SPIRE: `cargo xtask e2e`"]
async fn spire_by_the_socket_of_its_agent() {
    let spire = Spire::start(&Authority::new()).await;
    let api = WorkloadApi::at(&spire.socket()).unwrap();
    let mesh = |name: &str, trust_domain: &str| {
        IssuerBuilder::new(IssuerKind::Spiffe, name, trust_domain)
            .workload_api(spire.socket())
            .audiences(["orders"])
            .algorithms([Algorithm::Es256])
    };
    let registry = Registry::new([mesh("mesh", "prod.example"), mesh("friends", "friend.example")]).unwrap();
    let clock = Hand::new();
    let http = Http::new(&HttpSettings::default()).unwrap();
    let keys = KeyStore::builder(&registry, http).clock(clock.clone()).build().unwrap();
    let gate = Validator::new(&registry, keys.clone());

    let ours = api.jwt_svid(&["orders"]).await.unwrap();
    assert_eq!(who(&gate, &ours).await.as_deref(), Ok(CART));
    let others = api.jwt_svid(&["billing"]).await.unwrap();
    assert_eq!(who(&gate, &others).await, Err(Reason::Audience));
    assert!(keys.find("friends", None).await.is_err());
    let fault = keys.status().into_iter().find(|status| status.issuer == "friends").unwrap().fault;
    assert_eq!(fault, Some(hopseal::keys::FetchFault::WorkloadApi(WorkloadFault::NoBundle)));

    spire.rotate();
    let new = api.jwt_svid(&["orders", "more"]).await.unwrap();
    // The agent hears of the new key some seconds after the server has it.
    let mut found = who(&gate, &new).await;
    for _ in 0..60 {
        if found.is_ok() {
            break;
        }
        clock.forward(61);
        tokio::time::sleep(Duration::from_millis(500)).await;
        found = who(&gate, &new).await;
    }
    assert_eq!(found.as_deref(), Ok(CART));

    let workload = api.x509().await.unwrap();
    let chain: Vec<&[u8]> = workload.svids[0].chain.iter().map(Vec::as_slice).collect();
    let verified = gate.validate_peer(&chain, Chain::Against(workload.bundle("prod.example").unwrap()));
    assert_eq!(verified.verified().unwrap().principal().id, CART);
    assert!(workload.bundle("friend.example").is_none());
    let mut updates = api.updates().await.unwrap();
    assert_eq!(updates.next().await.unwrap().unwrap().svids[0].id.as_str(), CART);
}

/// X.509-SVIDs, against the bundle that came with them and against one of others.
fn certificates(spire: &Spire, gate: &Validator<KeyStore>) {
    let answer = spire.agent(&["x509"]).unwrap();
    let of = |name: &str| STANDARD.decode(answer["svids"][0][name].as_str().unwrap()).unwrap();
    let (svid, bundle) = (of("x509_svid"), of("bundle"));
    let bundle = X509Bundle::from_der("prod.example", [bundle.as_slice()]).unwrap();
    let chain = [svid.as_slice()];
    let verified = gate.validate_peer(&chain, Chain::Against(&bundle));
    let verified = verified.verified().unwrap();
    assert_eq!((verified.principal().id.as_str(), verified.principal().kind), (CART, Kind::Service));
    // The same out of the bundle that the server publishes.
    let published = spire.server(&["bundle", "show", "-format", "spiffe"]);
    let published = X509Bundle::from_spiffe_bundle("prod.example", published.as_bytes()).unwrap();
    assert!(gate.validate_peer(&chain, Chain::Against(&published)).verified().is_some());
    let other = Authority::new();
    let stranger = X509Bundle::from_der("prod.example", [other.der()]).unwrap();
    let refused = gate.validate_peer(&chain, Chain::Against(&stranger));
    assert_eq!(refused.refused().unwrap().reason(), Reason::UnknownKey);
}
