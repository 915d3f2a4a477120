//! An access token that is bound to the key of its client (RFC 9449): good with a proof that the client holds it, for this very
//! request, and once.
//!
//!     cargo run -p hopseal --features jwt --example dpop
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::{Credential, Expected, Registry, Token, Validator};
use sha2::{Digest as _, Sha256};

const ADDRESS: &str = "https://orders.example/list";

#[tokio::main(flavor = "current_thread")]
async fn main() -> support::Outcome {
    let (now, client) = (support::now(), support::Client::new()?);
    let claims = format!(
        r#"{{"iss":"https://id.example","aud":"orders","sub":"alice","client_id":"shop","jti":"1","iat":{now},"exp":{},"cnf":{{"jkt":"{}"}}}}"#,
        now + 600,
        client.thumbprint()
    );
    let (jwt, jwks) = support::eddsa(r#"{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}"#, &claims)?;
    let registry = Registry::from_yaml(&format!(
        "issuers: [{{name: staff, kind: static, issuer: 'https://id.example', audiences: [orders], algorithms: [EdDSA], jwks: '{jwks}'}}]"
    ))?;
    let validator = Validator::fixed(&registry)?;

    // What the client sends: `Authorization: DPoP ...` and `DPoP: ...`.
    let token = Token::from_authorization(&format!("DPoP {jwt}")).ok_or("no token")?;
    let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(&jwt));
    let proof =
        client.sign(&format!(r#"{{"jti":"p1","htm":"GET","htu":"{ADDRESS}","iat":{now},"ath":"{ath}"}}"#));
    let (access, proof) = (Expected::from(Credential::AccessToken), Token::new(proof));

    support::say(401, &validator.validate(&token, access).await)?;
    support::say(401, &validator.validate(&token, access.proof(&proof, "DELETE", ADDRESS)).await)?;
    support::say(200, &validator.validate(&token, access.proof(&proof, "GET", ADDRESS)).await)?;
    support::say(401, &validator.validate(&token, access.proof(&proof, "GET", ADDRESS)).await)?; // once
    Ok(())
}
