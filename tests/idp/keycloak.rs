//! Keycloak, from its discovery document to the rotation of its keys.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser as _;
use hopseal::events::{FeedSettings, Receiver};
use hopseal::http::{Http, HttpSettings, Reach};
use hopseal::introspection::Introspector;
use hopseal::keys::KeyStore;
use hopseal::outgoing::{Client, Exchange, TokenEndpoint, TokenType, Want, keeps_actors};
use hopseal::{
    Algorithm, Claims, Credential, Expected, IssuerBuilder, IssuerKind, Kind, Principal, Reason, Registry,
    Secret, Token, Validated, Validator,
};
use hopseal_collector::check::Exit;
use hopseal_collector::cli::{self, Cli};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::lab::Hand;

/// A Keycloak of this process, on this machine alone, that forgets everything when it ends.
struct Keycloak {
    address: String,
    client: reqwest::Client,
    child: Child,
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // It is a script that starts Java: the whole group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

impl Keycloak {
    async fn start() -> Self {
        let folder = std::env::var_os("HOPSEAL_KEYCLOAK").map(PathBuf::from);
        let folder = folder.expect("HOPSEAL_KEYCLOAK names its folder: `cargo xtask e2e` sets it");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(folder.join("bin/kc.sh"))
            .args(["start-dev", "--http-host=127.0.0.1", "--cache=local"])
            .arg(format!("--http-port={port}"))
            .arg("--db-url=jdbc:h2:mem:keycloak;NON_KEYWORDS=VALUE;DB_CLOSE_DELAY=-1")
            .envs([("KC_BOOTSTRAP_ADMIN_USERNAME", "admin"), ("KC_BOOTSTRAP_ADMIN_PASSWORD", "admin")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut keycloak = Self { address: format!("http://127.0.0.1:{port}"), client, child };
        for _ in 0..600 {
            assert!(keycloak.child.try_wait().unwrap().is_none(), "Keycloak ended at once");
            let answer = keycloak.client.get(format!("{}/realms/master", keycloak.address)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return keycloak;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("Keycloak does not start");
    }

    fn realm(&self) -> String {
        format!("{}/realms/shop", self.address)
    }

    async fn form(&self, url: String, fields: &[(&str, &str)]) -> Value {
        // Nothing here needs an escape.
        let text: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.post(url).body(text.join("&"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// As the administrator.
    async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> String {
        let login = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", "admin"),
        ];
        let token =
            self.form(format!("{}/realms/master/protocol/openid-connect/token", self.address), &login).await;
        let mut request = self
            .client
            .request(method.parse().unwrap(), format!("{}/admin/realms{path}", self.address))
            .header("authorization", format!("Bearer {}", token["access_token"].as_str().unwrap()));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// What `ann` gets by signing in at `orders`.
    async fn sign_in(&self) -> Value {
        let fields = [
            ("grant_type", "password"),
            ("scope", "openid"),
            ("client_id", "orders"),
            ("client_secret", "secret"),
            ("username", "ann"),
            ("password", "ann"),
        ];
        self.form(format!("{}/protocol/openid-connect/token", self.realm()), &fields).await
    }
}

/// The realm `shop`: `ann`, a buyer, signs in at `orders`, whose tokens are for `billing` too, which may exchange them for its
/// own; those of `billing` are of RFC 9068, and of `bare` as well, as Keycloak makes them by itself.
fn realm(logout: &str) -> Value {
    let audience = |name: &str| {
        json!({"name": name, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper", "config": {
            "included.custom.audience": name, "access.token.claim": "true", "introspection.token.claim": "true"}})
    };
    // RFC 9068 section 2.2 requires it, and Keycloak leaves it out of users' tokens unless it is told to.
    let client_id = json!({"name": "client_id", "protocol": "openid-connect",
        "protocolMapper": "oidc-hardcoded-claim-mapper", "config": {"claim.name": "client_id",
        "claim.value": "billing", "jsonType.label": "String", "access.token.claim": "true"}});
    let client = |id: &str, attributes: Value, mappers: Vec<Value>| {
        json!({"clientId": id, "secret": "secret", "publicClient": false, "standardFlowEnabled": false,
            "serviceAccountsEnabled": true, "directAccessGrantsEnabled": true, "attributes": attributes,
            "protocolMappers": mappers})
    };
    let exchanges =
        json!({"standard.token.exchange.enabled": "true", "access.token.header.type.rfc9068": "true"});
    json!({
        "realm": "shop", "enabled": true, "roles": {"realm": [{"name": "buyer"}]},
        "users": [{"username": "ann", "enabled": true, "email": "ann@example.org", "emailVerified": true,
            "firstName": "Ann", "lastName": "Lee", "realmRoles": ["buyer"],
            "credentials": [{"type": "password", "value": "ann", "temporary": false}]}],
        "clients": [
            client(
                "orders",
                json!({"backchannel.logout.url": logout, "backchannel.logout.session.required": "true"}),
                vec![audience("orders"), audience("billing"), audience("bare")],
            ),
            client("billing", exchanges.clone(), vec![audience("ledger"), client_id]),
            client("bare", exchanges, vec![audience("ledger")]),
        ],
    })
}

fn registry(keycloak: &Keycloak) -> Registry {
    let realm = keycloak.realm();
    let claims = || Claims {
        client: Some("azp".to_owned()),
        roles: Some("realm_access.roles".to_owned()),
        ..Claims::default()
    };
    let tokens = IssuerBuilder::new(IssuerKind::Oidc, "staff", &realm)
        .tokens([Credential::AccessToken, Credential::IdToken])
        .types(["at+jwt", "JWT"])
        .audiences(["orders", "ledger"])
        .algorithms([Algorithm::Rs256])
        .claims(claims())
        .loopback_http();
    let asked = IssuerBuilder::new(IssuerKind::Introspection, "asked", &realm)
        .introspection(
            format!("{realm}/protocol/openid-connect/token/introspect"),
            "orders",
            Secret::new("secret"),
        )
        .audiences(["orders"])
        .claims(claims())
        .loopback_http();
    Registry::new([tokens, asked]).unwrap()
}

type Gate = Validator<KeyStore>;

async fn judge<'e>(
    gate: &Gate,
    token: &str,
    expected: impl Into<Expected<'e>> + Send,
) -> Result<Principal, Reason> {
    match gate.validate(&Token::new(token), expected).await.unwrap() {
        Validated::Verified(verified) => Ok(verified.principal().clone()),
        Validated::Refused(refused) => Err(refused.reason()),
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {value}"))
}

/// Scenario: `ann` signs in at a realm of Keycloak; her tokens are validated, asked about, exchanged, and revoked by a logout;
/// then the realm rotates its keys.
/// Guarantees: what is said at each section.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keycloak: `cargo xtask e2e`"]
async fn keycloak() {
    let keycloak = Keycloak::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let logout = format!("http://{}/logout", listener.local_addr().unwrap());
    keycloak.admin("POST", "", Some(realm(&logout))).await;
    let (registry, clock) = (registry(&keycloak), Hand::new());
    let http = Http::new(&HttpSettings::default()).unwrap();
    let keys = KeyStore::builder(&registry, http.clone()).clock(clock.clone()).build().unwrap();
    let gate = Validator::new(&registry, keys.clone());

    let signed_in = keycloak.sign_in().await;
    kinds_of_token(&gate, &signed_in).await;
    introspection(&keycloak, &registry, &http, &signed_in).await;
    exchange(&keycloak, &gate, &http, &signed_in).await;
    back_channel_logout(&keycloak, &registry, &keys, &gate, &signed_in, listener).await;
    rotation(&keycloak, &keys, &gate, &clock).await;
}

/// An access token and an ID token are each taken for what they are and never for the other; the claims are mapped.
async fn kinds_of_token(gate: &Gate, signed_in: &Value) {
    let (access, id) = (text(signed_in, "access_token"), text(signed_in, "id_token"));
    let ann = judge(gate, access, Credential::AccessToken).await.unwrap();
    assert_eq!((ann.kind, ann.client.as_deref()), (Kind::User, Some("orders")));
    assert_eq!(ann.roles, ["buyer"]);
    assert!(ann.session.is_some() && ann.actors.is_empty());
    let token = Token::new(access);
    let same = judge(gate, id, Expected::from(Credential::IdToken).access_token(&token)).await.unwrap();
    assert_eq!((same.id, same.session), (ann.id, ann.session), "one and the same");
    assert_eq!(judge(gate, id, Credential::AccessToken).await, Err(Reason::Type));
    assert_eq!(judge(gate, access, Credential::IdToken).await, Err(Reason::Type));
    let other = Expected::from(Credential::AccessToken).audience("ledger");
    assert_eq!(judge(gate, access, other).await, Err(Reason::Audience));
}

/// Asked about the token, Keycloak says the same of it as it says itself; of one that it did not issue, nothing.
async fn introspection(keycloak: &Keycloak, registry: &Registry, http: &Http, signed_in: &Value) {
    let asker = Introspector::builder(registry, http.clone()).build().unwrap();
    let ask = async |token: &str| {
        let said = asker.validate("asked", &Token::new(token), Credential::Opaque).await.unwrap();
        said.verified()
            .map(|verified| verified.principal().clone())
            .ok_or_else(|| said.refused().unwrap().reason())
    };
    let access = text(signed_in, "access_token");
    let ann = ask(access).await.unwrap();
    assert_eq!((ann.issuer.as_str(), ann.roles), (keycloak.realm().as_str(), vec!["buyer".to_owned()]));
    assert_eq!(ask(access.trim_end_matches(|_: char| true)).await.err(), Some(Reason::Malformed));
    assert_eq!(ask("nobodys").await, Err(Reason::Inactive));
}

/// `billing` gets a token for `ledger` in the name of `ann`. Keycloak says nowhere that `billing` acts for her, and that shows.
/// A token that says that it is of RFC 9068 is held to that.
async fn exchange(keycloak: &Keycloak, gate: &Gate, http: &Http, signed_in: &Value) {
    let access = text(signed_in, "access_token");
    let ann = judge(gate, access, Credential::AccessToken).await.unwrap();
    let token = Token::new(access);
    let exchange = async |client: &str| {
        let address = format!("{}/protocol/openid-connect/token", keycloak.realm());
        let client = Client::with_secret(client, Secret::new("secret"));
        let endpoint =
            TokenEndpoint::new("keycloak", &address, Reach::Loopback, client, http.clone()).unwrap();
        let issued = endpoint.exchange(&Exchange::of(&token, TokenType::AccessToken), &Want::default()).await;
        let issued = issued.unwrap().token;
        judge(gate, issued.expose(), Expected::from(Credential::AccessToken).audience("ledger")).await
    };
    let after = exchange("billing").await.unwrap();
    assert_eq!((&after.id, after.client.as_deref()), (&ann.id, Some("billing")));
    assert!(after.actors.is_empty() && !keeps_actors(&ann, &after), "an impersonation");
    assert_eq!(exchange("bare").await, Err(Reason::MissingClaim), "`at+jwt` without `client_id`");
}

/// A logout at Keycloak is pushed as a `logout+jwt`, and no token of that session is good from then on; those of a session before
/// it and after it are.
async fn back_channel_logout(
    keycloak: &Keycloak,
    registry: &Registry,
    keys: &KeyStore,
    gate: &Gate,
    signed_in: &Value,
    listener: TcpListener,
) {
    let feeds = [FeedSettings::new("staff", ["orders"])];
    let receiver =
        Receiver::builder(registry, keys.clone(), Arc::clone(gate.revocations()), feeds).build().unwrap();
    let ended = keycloak.sign_in().await;
    let ann = judge(gate, text(&ended, "access_token"), Credential::AccessToken).await.unwrap();
    let pushed = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let body = loop {
            request.push(stream.read_u8().await.unwrap());
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let mut lines = head.lines().map(str::to_ascii_lowercase);
            let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if Some(body.len()) == length {
                break body.to_owned();
            }
        };
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        body
    });
    let session = ann.session.unwrap();
    keycloak.admin("DELETE", &format!("/shop/sessions/{session}"), None).await;
    let body = tokio::time::timeout(Duration::from_secs(30), pushed).await.unwrap().unwrap();
    let header = body.trim_start_matches("logout_token=").split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header["typ"], "logout+jwt");
    assert_eq!(receiver.backchannel_logout(body.as_bytes()).await.status, 200);
    assert_eq!(
        judge(gate, text(&ended, "access_token"), Credential::AccessToken).await,
        Err(Reason::Revoked)
    );
    assert!(
        judge(gate, text(signed_in, "access_token"), Credential::AccessToken).await.is_ok(),
        "another session"
    );
    let after = keycloak.sign_in().await;
    assert!(judge(gate, text(&after, "access_token"), Credential::AccessToken).await.is_ok());
}

/// A new key is found with the first token that it signs, and the old one serves on; once Keycloak withdraws that, it does not.
async fn rotation(keycloak: &Keycloak, keys: &KeyStore, gate: &Gate, clock: &Hand) {
    let old = keycloak.sign_in().await;
    let old = text(&old, "access_token");
    assert!(judge(gate, old, Credential::AccessToken).await.is_ok());
    let providers = "/shop/components?type=org.keycloak.keys.KeyProvider";
    let providers: Value = serde_json::from_str(&keycloak.admin("GET", providers, None).await).unwrap();
    let first =
        providers.as_array().unwrap().iter().find(|one| one["providerId"] == "rsa-generated").unwrap();
    let next = json!({"name": "next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
        "parentId": first["parentId"], "config": {"priority": ["200"]}});
    keycloak.admin("POST", "/shop/components", Some(next)).await;
    let new = keycloak.sign_in().await;
    assert!(judge(gate, text(&new, "access_token"), Credential::AccessToken).await.is_ok(), "at once");
    assert!(judge(gate, old, Credential::AccessToken).await.is_ok());
    let epoch = keys.in_hand("staff").unwrap().epoch;

    keycloak.admin("DELETE", &format!("/shop/components/{}", text(first, "id")), None).await;
    clock.forward(1800); // past the soft age, whatever Keycloak says of it
    assert!(judge(gate, old, Credential::AccessToken).await.is_ok(), "while it is refreshed");
    for _ in 0..100 {
        if keys.in_hand("staff").unwrap().epoch > epoch {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(judge(gate, old, Credential::AccessToken).await, Err(Reason::UnknownKey));
    assert!(judge(gate, text(&new, "access_token"), Credential::AccessToken).await.is_ok());
}

/// Scenario: the realm that `docker-compose.yml` gives to Keycloak, and the fleet, started as it is there; its spans are sent on to
/// somebody who counts them.
/// Guarantees: its people sign in there, their tokens are taken and exchanged at each hop, every story finds what it promises, and the
/// spans are sent on.
#[test]
#[ignore = "needs Keycloak: `cargo xtask e2e`"]
fn the_fleet_signs_in_at_the_shipped_realm() {
    const HERE: &str = "http://127.0.0.1:8080";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let compose: Value = serde_saphyr::from_str(&read("docker-compose.yml")).unwrap();
    let services = &compose["services"];
    // What stands there of Keycloak is what is started here.
    let given = services["keycloak"]["volumes"][0].as_str().unwrap();
    assert!(given.starts_with("./collector-config/compose/realm.json:/opt/keycloak/data/import/"), "{given}");
    let realm = serde_json::from_str(&read("collector-config/compose/realm.json")).unwrap();
    assert_eq!(services["fleet"]["network_mode"], "service:keycloak");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (keycloak, sink, taken) = runtime.block_on(async {
        let keycloak = Keycloak::start().await;
        keycloak.admin("POST", "", Some(realm)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let take = async move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (keycloak, sink, taken)
    });
    let command = services["fleet"]["command"].as_array().unwrap().iter().filter_map(Value::as_str);
    let words: Vec<String> = command
        .filter(|word| *word != "--keep")
        .map(|word| word.replace(HERE, &keycloak.address).replace("http://collector:4318", &sink))
        .collect();
    assert!(words.contains(&keycloak.realm()) && words.contains(&sink), "{words:?}");
    let cli = Cli::try_parse_from(std::iter::once("hopseal".to_owned()).chain(words)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run(cli, false, &mut out, &mut err);
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    assert_eq!(exit, Exit::Clean, "{out}{err}");
    assert!(out.contains("Every story found what it promises, and nothing else."), "{out}");
    assert!(taken.load(Ordering::SeqCst) > 5, "{taken:?} requests were sent on");
}
