//! A workload's JWT-SVID (SPIFFE), against the bundle of its trust domain.
//!
//!     cargo run -p hopseal --features jwt --example jwt_svid
mod support;

use hopseal::{Credential, Registry, Token, Validator};

#[tokio::main(flavor = "current_thread")]
async fn main() -> support::Outcome {
    let now = support::now();
    for (workload, status) in [("spiffe://prod.example/cart", 200), ("spiffe://other.example/cart", 401)] {
        let claims = format!(r#"{{"sub":"{workload}","aud":["orders"],"iat":{now},"exp":{}}}"#, now + 300);
        let (svid, bundle) = support::es256(r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#, &claims)?;
        let registry = Registry::from_yaml(&format!(
            "issuers: [{{name: mesh, kind: spiffe, issuer: prod.example, audiences: [orders], algorithms: [ES256], jwks: '{bundle}'}}]"
        ))?;
        support::say(
            status,
            &Validator::fixed(&registry)?.validate(&Token::new(svid), Credential::JwtSvid).await,
        )?;
    }
    Ok(())
}
