//! An opaque token, about which its issuer is asked (RFC 7662). Here that is a few lines on this machine.
//!
//!     cargo run -p hopseal --features introspection --example opaque
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use hopseal::http::{Http, HttpSettings};
use hopseal::introspection::Introspector;
use hopseal::keys::KeyStore;
use hopseal::{Credential, Registry, Token, Validator};

/// Says that one token is active, and no other.
fn issuer(listener: &TcpListener, answer: &str) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request)?;
        request.truncate(length);
        let active = String::from_utf8_lossy(&request).contains("token=2YotnFZFEjr1zCsicMWpAA");
        let body = if active { answer } else { r#"{"active":false}"# };
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
        write!(stream, "{head} {}\r\n\r\n{body}", body.len())?;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> support::Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let id = format!("http://{}", listener.local_addr()?);
    let now = support::now();
    let answer = format!(
        r#"{{"active":true,"iss":"{id}","aud":"orders","sub":"alice","client_id":"shop","scope":"orders:read","iat":{now},"exp":{}}}"#,
        now + 600
    );
    std::thread::spawn(move || issuer(&listener, &answer));
    let registry = Registry::from_yaml(&format!(
        "issuers: [{{name: partners, kind: introspection, issuer: '{id}', endpoint: '{id}/introspect', client_id: orders, client_secret: hunter2, audiences: [orders], loopback_http: true}}]"
    ))?;
    let http = Http::new(&HttpSettings::default())?;
    let introspector = Introspector::builder(&registry, http.clone()).build()?;
    let keys = KeyStore::builder(&registry, http).build()?;
    let validator = Validator::new(&registry, keys).with_introspector(introspector);

    support::say(200, &validator.validate(&Token::new("2YotnFZFEjr1zCsicMWpAA"), Credential::Opaque).await)?;
    support::say(401, &validator.validate(&Token::new("tGzv3JOkF0XG5Qx2TlKWIA"), Credential::Opaque).await)?;
    Ok(())
}
