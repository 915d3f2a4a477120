//! An OAuth access token as a JWT (RFC 9068), as it comes in an `Authorization` header.
//!
//!     cargo run -p hopseal --features jwt --example jwt_access_token
mod support;

use hopseal::{Challenge, Credential, Registry, Scheme, Token, Validator};

const HEADER: &str = r#"{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}"#;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example")]
async fn main() -> support::Outcome {
    let now = support::now();
    let claims = format!(
        r#"{{"iss":"https://id.example","aud":"orders","sub":"alice","client_id":"shop","jti":"1","scope":"orders:read","iat":{now},"exp":{}}}"#,
        now + 600
    );
    let (jwt, jwks) = support::eddsa(HEADER, &claims)?;
    let registry = Registry::from_yaml(&format!(
        "issuers: [{{name: staff, kind: static, issuer: 'https://id.example', audiences: [orders], algorithms: [EdDSA], jwks: '{jwks}'}}]"
    ))?;
    let validator = Validator::fixed(&registry)?;

    let token = Token::from_authorization(&format!("Bearer {jwt}")).ok_or("no token")?;
    support::say(200, &validator.validate(&token, Credential::AccessToken).await)?;

    // The same claims, signed by whoever likes.
    let (forged, _) = support::eddsa(HEADER, &claims)?;
    let spoilt = Token::new(forged);
    let said = validator.validate(&spoilt, Credential::AccessToken).await;
    support::say(401, &said)?;
    if let Some(refused) = said?.refused() {
        println!("     WWW-Authenticate: {}", Challenge::new(Scheme::Bearer).refused(refused.reason()));
    }
    Ok(())
}
