//! An ID token (OpenID Connect Core 1.0), as whoever signs people in gets it.
//!
//!     cargo run -p hopseal --features jwt --example id_token
mod support;

use hopseal::{Credential, Expected, Registry, Token, Validator};

#[tokio::main(flavor = "current_thread")]
async fn main() -> support::Outcome {
    let now = support::now();
    let claims = format!(
        r#"{{"iss":"https://id.example","aud":"shop","sub":"alice","nonce":"n-0S6_WzA2Mj","iat":{now},"exp":{}}}"#,
        now + 600
    );
    let (jwt, jwks) = support::eddsa(r#"{"alg":"EdDSA","kid":"k1","typ":"JWT"}"#, &claims)?;
    let registry = Registry::from_yaml(&format!(
        "issuers: [{{name: staff, kind: static, issuer: 'https://id.example', tokens: [id_token], audiences: [shop], algorithms: [EdDSA], jwks: '{jwks}'}}]"
    ))?;
    let (validator, token) = (Validator::fixed(&registry)?, Token::new(jwt));

    let expected = Expected::from(Credential::IdToken);
    support::say(200, &validator.validate(&token, expected.nonce("n-0S6_WzA2Mj")).await)?;
    support::say(401, &validator.validate(&token, expected.nonce("of another login")).await)?;
    // What is accepted as one kind is never accepted as another.
    support::say(401, &validator.validate(&token, Credential::AccessToken).await)?;
    Ok(())
}
