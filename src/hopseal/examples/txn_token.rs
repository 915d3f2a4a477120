//! A transaction token (draft-ietf-oauth-transaction-tokens): who a call within a trust domain is for, from its edge on. It comes in the
//! header `Txn-Token`, and never in `Authorization`.
//!
//!     cargo run -p hopseal --features jwt --example txn_token
mod support;

use hopseal::{Credential, Registry, Token, Validator};

#[tokio::main(flavor = "current_thread")]
async fn main() -> support::Outcome {
    let now = support::now();
    let claims = format!(
        r#"{{"aud":"prod.example","txn":"97053963","sub":"alice","scope":"trade.stocks","req_wl":"gateway.prod.example","tctx":{{"action":"BUY"}},"iat":{now},"exp":{}}}"#,
        now + 60
    );
    let (jwt, jwks) = support::eddsa(r#"{"alg":"EdDSA","kid":"k1","typ":"txntoken+jwt"}"#, &claims)?;
    let registry = Registry::from_yaml(&format!(
        "issuers: [{{name: txn, kind: txn_token, issuer: prod.example, algorithms: [EdDSA], max_lifetime: 5m, jwks: '{jwks}'}}]"
    ))?;
    let (validator, token) = (Validator::fixed(&registry)?, Token::new(jwt));
    support::say(200, &validator.validate(&token, Credential::TxnToken).await)?;
    // It is no authentication credential.
    support::say(401, &validator.validate(&token, Credential::AccessToken).await)?;
    Ok(())
}
