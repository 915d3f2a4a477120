//! A real OpenID provider, started for one test.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hopseal::http::{Address, Answer, Fetch as _, Http, HttpSettings, Reach, Request};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// oidc-provider, as `oidc-provider/server.mjs` sets it up. It ends with this.
pub(crate) struct Provider {
    /// Its address, which is its `issuer`.
    pub(crate) id: String,
    http: Http,
    _child: Child,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("idp/oidc-provider");
        let installed = folder.join("node_modules/oidc-provider").is_dir();
        assert!(installed, "install it: npm ci --ignore-scripts --prefix tests/idp/oidc-provider");
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node, which starts the provider: apt-get install nodejs");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the provider does not start");
        let id = line.strip_prefix("ready ").unwrap().to_owned();
        // It says more later, and ends if nobody reads it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { id, http: Http::new(&HttpSettings::default()).unwrap(), _child: child }
    }

    pub(crate) fn address(&self, path: &str) -> Address {
        Address::parse(&format!("{}{path}", self.id), Reach::Loopback).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::form(self.address(path), fields, 100_000);
        // orders:secret
        let request = request.header("authorization", "Basic b3JkZXJzOnNlY3JldA==");
        self.http.fetch(request).await.unwrap()
    }

    /// A token of the service `orders` for a resource: `rs256`, `es256`, `eddsa` or `opaque`.
    pub(crate) async fn token(&self, resource: &str) -> String {
        let resource = format!("urn:test:{resource}");
        let fields =
            [("grant_type", "client_credentials"), ("scope", "api:read"), ("resource", resource.as_str())];
        self.granted(&fields).await
    }

    /// The access token that `orders` is granted for that.
    pub(crate) async fn granted(&self, fields: &[(&str, &str)]) -> String {
        let answer: Value = serde_json::from_slice(&self.post("/token", fields).await.body).unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A token of `bound`, which is bound to its certificate, in DER.
    pub(crate) async fn token_for(&self, certificate: &[u8]) -> String {
        let fields =
            [("grant_type", "client_credentials"), ("scope", "api:read"), ("resource", "urn:test:rs256")];
        let request = Request::form(self.address("/token"), &fields, 100_000);
        // bound:secret
        let request = request.header("authorization", "Basic Ym91bmQ6c2VjcmV0");
        let answer = self.http.fetch(request.header("x-client-certificate", STANDARD.encode(certificate)));
        let answer: Value = serde_json::from_slice(&answer.await.unwrap().body).unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A token that is bound to the key of a client, by another library than ours, and proofs of that.
    pub(crate) async fn proven(&self) -> Value {
        serde_json::from_slice(&self.post("/-/dpop", &[]).await.body).unwrap()
    }

    /// Takes a token back.
    pub(crate) async fn revoke(&self, token: &str) {
        assert_eq!(self.post("/token/revocation", &[("token", token)]).await.status, 200);
    }

    /// Makes new keys, which sign from now on.
    pub(crate) async fn rotate(&self) {
        assert_eq!(self.post("/-/rotate", &[]).await.status, 200);
    }

    /// A refresh token of the user `ann`.
    pub(crate) async fn refresh_token(&self) -> String {
        String::from_utf8(self.post("/-/grant", &[]).await.body.to_vec()).unwrap()
    }
}
