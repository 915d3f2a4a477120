//! Claims of a token that a proxy of the mesh validated and forwards without the token (`forward_payload_header` of Envoy,
//! `outputPayloadToHeader` of Istio). They are as good as the proof that they came from a proxy that was declared: its certificate.
//!
//!     cargo run -p hopseal --features spiffe --example forwarded_claims
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::keys::FixedKeys;
use hopseal::{Chain, Forwarded, Proxies, Registry, SpiffeId, Validator, X509Bundle};

const PROXY: &str = "spiffe://prod.example/gateway";

#[expect(clippy::print_stdout, reason = "an example")]
fn main() -> support::Outcome {
    let registry = Registry::from_yaml(
        r#"
issuers:
  - {name: staff, kind: static, issuer: 'https://id.example', audiences: [orders], algorithms: [EdDSA], jwks: '{"keys":[]}'}
  - {name: mesh, kind: spiffe, issuer: prod.example, audiences: [orders], algorithms: [ES256], jwks: '{"keys":[]}'}
"#,
    )?;
    let validator = Validator::new(&registry, FixedKeys::default())
        .clock(support::THEN)
        .with_proxies(Proxies::new([SpiffeId::parse(PROXY)?]));
    let (certificate, authority) = support::svid(PROXY)?;
    let bundle = X509Bundle::from_der("prod.example", [authority.der().as_ref()])?;
    let peer = validator.validate_peer(&[&certificate], Chain::Against(&bundle));

    let now = support::THEN.0;
    let claims = format!(
        r#"{{"iss":"https://id.example","aud":"orders","sub":"alice","client_id":"shop","jti":"1","iat":{now},"exp":{}}}"#,
        now + 600
    );
    let header = URL_SAFE_NO_PAD.encode(claims);
    for (from, peer) in [("the proxy", peer.verified()), ("anybody", None)] {
        match (validator.forwarded_claims(peer, &header, None), peer) {
            (Forwarded::Verified(verified), Some(_)) => {
                println!("from {from}: `{}`, by {}", verified.principal().id, verified.evidence().method());
            }
            (Forwarded::Asserted { principal, issuer }, None) => {
                println!(
                    "from {from}: says `{}` of `{issuer}`; fit for a span, not for a decision",
                    principal.id
                );
            }
            (other, _) => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}
