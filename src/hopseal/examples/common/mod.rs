//! What the examples have in common: keys that everybody knows, for a try. Never use them for anything else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hopseal::seal::{MayReseal, MaySeal, SealRule, SealingKeys, Seals, public_jwks};
use hopseal::{Clock as _, Registry, SystemClock};
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const ORDERS: &str = "spiffe://example.org/orders";
pub(crate) const SHIPPING: &str = "spiffe://example.org/shipping";

/// RFC 8037 appendix A.1: the issuer's. RFC 8032 section 7.1, tests 2 and 3: those of the services.
const ISSUER: (&str, &str) =
    ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
const SERVICES: [(&str, &str, &str); 2] = [
    (
        "orders.1",
        "TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs",
        "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
    ),
    (
        "shipping.1",
        "xaqN9D-fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc",
        "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU",
    ),
];

pub(crate) fn registry() -> Result<Registry, Failure> {
    let (_, x) = ISSUER;
    Ok(Registry::from_yaml(&format!(
        r#"
issuers:
  - name: staff
    kind: static
    issuer: https://id.example
    jwks: '{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}'
    audiences: [orders]
    algorithms: [EdDSA]
  - {{name: seals, kind: seal, issuer: example.org, jwks: '{{"keys":[]}}'}}
"#
    ))?)
}

/// What the service of that name makes and checks seals with.
pub(crate) fn seals(service: &str) -> Result<Seals, Failure> {
    let keys = |(kid, d, x): (&str, &str, &str)| {
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","d":"{d}","x":"{x}"}}"#);
        SealingKeys::from_jwks(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes())
    };
    let [orders, shipping] = SERVICES;
    let (orders, shipping) = (keys(orders)?, keys(shipping)?);
    let published = public_jwks([&orders, &shipping]);
    let rules = [
        SealRule::new("orders", ORDERS).may_seal(MaySeal::issuers(["staff"])),
        SealRule::new("shipping", SHIPPING).may_reseal(MayReseal { max_wait: 600, ..MayReseal::default() }),
    ];
    let pseudonyms = Pseudonyms::new(PseudonymKey::new("p1", &[7; 32])?, [])?;
    let own = if service == "orders" { orders } else { shipping };
    Ok(Seals::new(&registry()?, "seals", rules, own, &published, pseudonyms)?)
}

/// An access token for `alice`, good for ten minutes.
pub(crate) fn token() -> Result<String, Failure> {
    let now = SystemClock.now().0;
    let claims = format!(
        r#"{{"iss":"https://id.example","aud":"orders","sub":"alice","client_id":"web","jti":"j1","iat":{now},"exp":{}}}"#,
        now + 600
    );
    let body =
        format!("{}.{}", BASE64URL.encode(r#"{"alg":"EdDSA","typ":"at+jwt"}"#), BASE64URL.encode(claims));
    let key = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&BASE64URL.decode(ISSUER.0)?)?;
    Ok(format!("{body}.{}", BASE64URL.encode(key.sign(body.as_bytes()))))
}
