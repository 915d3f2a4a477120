//! PASETO v4: `v4.public`, signed, and `v4.local`, encrypted; both bound to something that is not sent (the implicit assertion).
//!
//!     cargo run -p hopseal --features paseto --example paseto
mod support;

use hopseal::keys::FixedKeys;
use hopseal::{Credential, Expected, Registry, Token, Validator};
use pasetors::keys::{AsymmetricKeyPair, Generate as _, SymmetricKey};
use pasetors::paserk::{FormatAsPaserk as _, Id};
use pasetors::version4::{LocalToken, PublicToken, V4};

const CLAIMS: &str = r#"{"iss":"p.example","aud":"orders","sub":"alice","client_id":"shop","jti":"1",
    "iat":"2027-01-15T08:00:00Z","exp":"2027-01-15T08:10:00Z"}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> support::Outcome {
    let failed = |error| format!("{error:?}");
    let pair = AsymmetricKeyPair::<V4>::generate().map_err(failed)?;
    let secret = SymmetricKey::<V4>::generate().map_err(failed)?;
    let (mut public, mut local, mut id) = (String::new(), String::new(), String::new());
    pair.public.fmt(&mut public).map_err(|_| "no PASERK")?;
    secret.fmt(&mut local).map_err(|_| "no PASERK")?;
    Id::from(&secret).fmt(&mut id).map_err(|_| "no PASERK")?;
    let registry = Registry::from_yaml(&format!(
        "issuers: [{{name: p, kind: paseto, issuer: p.example, audiences: [orders], paserk: [{public}, {local}]}}]"
    ))?;
    // These claims are of a day that stands in them.
    let validator = Validator::new(&registry, FixedKeys::default()).clock(hopseal::UnixTime(1_800_000_060));

    let assertion = b"trace 0af7651916cd43dd8448eb211c80319c";
    let footer = format!(r#"{{"kid":"{id}"}}"#);
    let signed = PublicToken::sign(&pair.secret, CLAIMS.as_bytes(), None, Some(assertion)).map_err(failed)?;
    let sealed = LocalToken::encrypt(&secret, CLAIMS.as_bytes(), Some(footer.as_bytes()), Some(assertion))
        .map_err(failed)?;
    for token in [Token::new(signed), Token::new(sealed)] {
        let expected = Expected::from(Credential::Paseto);
        support::say(200, &validator.validate(&token, expected.implicit_assertion(assertion)).await)?;
        support::say(401, &validator.validate(&token, expected.implicit_assertion(b"another trace")).await)?;
    }
    Ok(())
}
