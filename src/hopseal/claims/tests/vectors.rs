//! Our own vectors, in `vectors/jwt.json`: that they are what this file makes, and that we judge them as they say.

use serde_json::{Value, json};

use super::*;
use crate::Registry;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/jwt.json");

/// One vector.
struct Case {
    attack: &'static str,
    credential: Credential,
    header: String,
    payload: Vec<u8>,
    token: String,
    reason: Option<Reason>,
    choice: bool,
}

/// What is tried, the token, why it is refused, and whether that is our choice.
type Row = (&'static str, Credential, Mint, Option<Reason>, bool);

fn case((attack, credential, mint, reason, choice): Row) -> Case {
    let (header, payload) = (mint.header_json(), mint.claims_json());
    let token = mint.text();
    Case { attack, credential, header, payload: payload.into_bytes(), token, reason, choice }
}

fn rows() -> Vec<Row> {
    use Credential::{AccessToken as Access, IdToken, TxnToken};
    let set = |name: &str, json: &str| Mint::access().set(name, json);
    let header = |name: &str, json: &str| Mint::access().header(name, json);
    let twice = |name: &str, json: &str| Mint::access().set("tid", r#""a""#).also(name, json);
    let rules: Vec<Row> = vec![
        ("none: RFC 9068", Access, Mint::access(), None, false),
        ("none: a plain access token", Access, Mint::plain(), None, false),
        ("none: an ID token", IdToken, Mint::id(), None, false),
        ("none: a transaction token", TxnToken, Mint::txn(), None, false),
        ("none: by HMAC", Access, Mint::secret(), None, false),
        ("none: alg Ed25519 (RFC 9864)", Access, header("alg", r#""Ed25519""#), None, false),
        ("alg none", Access, header("alg", r#""none""#), Some(Reason::Algorithm), false),
        (
            "alg of another issuer",
            Access,
            Mint::secret().set("iss", r#""https://id.example""#),
            Some(Reason::Algorithm),
            false,
        ),
        ("crit that is not understood", Access, header("crit", r#"["exp"]"#), Some(Reason::Critical), false),
        ("b64 without crit", Access, header("b64", "false"), Some(Reason::Critical), false),
        ("zip", Access, header("zip", r#""DEF""#), Some(Reason::Critical), false),
        ("a nested token", Access, header("cty", r#""JWT""#), Some(Reason::Type), true),
        ("kid twice", Access, header("k\\u0069d", r#""k1""#), Some(Reason::Duplicate), false),
        (
            "a key in the header, which is not the one that signed",
            Access,
            header("jwk", r#"{"kty":"OKP"}"#),
            None,
            false,
        ),
        (
            "signed by a key in the header",
            Access,
            header("jwk", r#"{"kty":"OKP"}"#).by(9),
            Some(Reason::Signature),
            false,
        ),
        ("typ of a logout token", Access, header("typ", r#""logout+jwt""#), Some(Reason::Type), false),
        ("typ of a security event", Access, header("typ", r#""secevent+jwt""#), Some(Reason::Type), false),
        ("typ of a proof of possession", Access, header("typ", r#""dpop+jwt""#), Some(Reason::Type), false),
        ("typ of a transaction token", Access, header("typ", r#""txntoken+jwt""#), Some(Reason::Type), false),
        ("typ is a list", Access, header("typ", r#"["at+jwt"]"#), Some(Reason::Malformed), false),
        ("an ID token as an access token", Access, Mint::id(), Some(Reason::Type), false),
        ("an access token as an ID token", IdToken, Mint::access(), Some(Reason::Type), false),
        ("a plain access token as an ID token", IdToken, Mint::plain(), Some(Reason::Type), true),
        ("a transaction token as an access token", Access, Mint::txn(), Some(Reason::MissingClaim), false),
        ("an access token as a transaction token", TxnToken, Mint::access(), Some(Reason::Issuer), false),
        (
            "events of a logout token, no typ",
            Access,
            Mint::plain().without_header("typ").set("events", "{}"),
            Some(Reason::Type),
            true,
        ),
        ("no iss", Access, Mint::access().without("iss"), Some(Reason::MissingClaim), false),
        (
            "iss is a list with a good one",
            Access,
            set("iss", r#"["https://evil.example","https://id.example"]"#),
            Some(Reason::Claim),
            false,
        ),
        (
            "iss is a list of the good one",
            Access,
            set("iss", r#"["https://id.example"]"#),
            Some(Reason::Claim),
            false,
        ),
        ("iss is a number", Access, set("iss", "5"), Some(Reason::Claim), false),
        (
            "iss with a slash more",
            Access,
            set("iss", r#""https://id.example/""#),
            Some(Reason::Issuer),
            false,
        ),
        ("iss in capitals", Access, set("iss", r#""HTTPS://id.example""#), Some(Reason::Issuer), false),
        (
            "mix-up: signed by another trusted issuer",
            Access,
            Mint::access().by(7),
            Some(Reason::Signature),
            false,
        ),
        ("no aud", Access, Mint::access().without("aud"), Some(Reason::MissingClaim), false),
        ("aud is a number", Access, set("aud", "5"), Some(Reason::Claim), false),
        ("aud is an object", Access, set("aud", r#"{"orders":1}"#), Some(Reason::Claim), false),
        ("aud holds a number", Access, set("aud", r#"["orders",5]"#), Some(Reason::Claim), true),
        ("aud is empty", Access, set("aud", "[]"), Some(Reason::Claim), false),
        ("aud is not ours", Access, set("aud", r#""other""#), Some(Reason::Audience), false),
        ("aud begins as ours", Access, set("aud", r#""orders.evil""#), Some(Reason::Audience), false),
        (
            "an ID token for another too",
            IdToken,
            Mint::id().set("aud", r#"["orders","x"]"#),
            Some(Reason::Audience),
            false,
        ),
        ("azp of another", IdToken, Mint::id().set("azp", r#""x""#), Some(Reason::Audience), false),
        ("no sub", Access, Mint::access().without("sub"), Some(Reason::MissingClaim), false),
        ("sub is empty", Access, set("sub", r#""""#), Some(Reason::Claim), false),
        ("sub is a number", Access, set("sub", "5"), Some(Reason::Claim), false),
        ("sub with a zero-width space", Access, set("sub", r#""ali\u200bce""#), Some(Reason::Claim), true),
        ("sub written from right to left", Access, set("sub", r#""\u202eecila""#), Some(Reason::Claim), true),
        ("sub with half a surrogate pair", Access, set("sub", r#""\ud800""#), Some(Reason::Malformed), false),
        ("sub twice", Access, twice("sub", r#""bob""#), Some(Reason::Duplicate), false),
        ("sub twice, once escaped", Access, twice("s\\u0075b", r#""bob""#), Some(Reason::Duplicate), false),
        ("iss twice", Access, twice("iss", r#""https://evil.example""#), Some(Reason::Duplicate), false),
        ("a claim of our own twice", Access, twice("tid", r#""b""#), Some(Reason::Duplicate), false),
        ("scope twice", Access, twice("scope", r#""admin""#), Some(Reason::Duplicate), false),
        (
            "a claim twice inside of another",
            Access,
            set("act", r#"{"sub":"a","sub":"b"}"#),
            Some(Reason::Duplicate),
            false,
        ),
        ("no exp", Access, Mint::access().without("exp"), Some(Reason::MissingClaim), false),
        ("exp is text", Access, set("exp", r#""1800000600""#), Some(Reason::Claim), false),
        ("exp is null", Access, set("exp", "null"), Some(Reason::Claim), false),
        ("exp is true", Access, set("exp", "true"), Some(Reason::Claim), false),
        ("exp is negative", Access, set("exp", "-1"), Some(Reason::Claim), false),
        ("exp is 1e300", Access, set("exp", "1e300"), Some(Reason::Claim), false),
        ("exp is 2^64", Access, set("exp", "18446744073709551616"), Some(Reason::Claim), false),
        ("exp is 2^64 - 1", Access, set("exp", "18446744073709551615"), Some(Reason::Lifetime), false),
        ("exp has a fraction", Access, set("exp", "1800000600.5"), Some(Reason::Claim), true),
        (
            "exp is over",
            Access,
            set("iat", "1799999000").set("exp", "1799999939"),
            Some(Reason::Expired),
            false,
        ),
        (
            "exp is over, within the skew",
            Access,
            set("iat", "1799999000").set("exp", "1799999941"),
            None,
            true,
        ),
        ("nbf is text", Access, set("nbf", r#""1800000000""#), Some(Reason::Claim), false),
        ("nbf is null", Access, set("nbf", "null"), Some(Reason::Claim), true),
        ("nbf is to come", Access, set("nbf", "1800000100"), Some(Reason::Premature), false),
        ("iat is to come", Access, set("iat", "1800000100"), Some(Reason::Premature), true),
        ("valid for a hundred years", Access, set("exp", "4953600000"), Some(Reason::Lifetime), true),
        (
            "deep",
            Access,
            set("x", &format!("{}{}", "[".repeat(40), "]".repeat(40))),
            Some(Reason::TooLarge),
            true,
        ),
        ("an act without a sub", Access, set("act", r#"{"iss":"a"}"#), Some(Reason::Claim), true),
        (
            "bound to a key in a way that is not known",
            Access,
            set("cnf", r#"{"x":"y"}"#),
            Some(Reason::Binding),
            true,
        ),
    ];
    rules
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = rows().into_iter().map(case).collect();
    // What a list of members cannot say.
    let good = Mint::access();
    let (header, payload) = (good.header_json(), good.claims_json());
    for (attack, header, payload, reason) in [
        ("JSON after the end", header.clone(), format!("{payload}{{}}"), Reason::Malformed),
        ("JSON after the end of the header", format!("{header}{{}}"), payload.clone(), Reason::Malformed),
        ("a byte order mark", header.clone(), format!("\u{feff}{payload}"), Reason::Malformed),
        ("a payload that is a list", header.clone(), format!("[{payload}]"), Reason::Malformed),
        ("a payload that is text", header.clone(), "\"alice\"".to_owned(), Reason::Malformed),
    ] {
        let token = good.sign(&header, payload.as_bytes());
        cases.push(Case {
            attack,
            credential: Credential::AccessToken,
            header,
            payload: payload.into_bytes(),
            token,
            reason: Some(reason),
            choice: false,
        });
    }
    cases
}

fn document() -> String {
    let registry = registry();
    let issuers: Vec<Value> = registry
        .issuers()
        .iter()
        .filter(|issuer| issuer.kind() != crate::IssuerKind::Spiffe)
        .map(|issuer| {
            let crate::Source::Jwks(keys) = issuer.source() else { panic!("no keys") };
            let kinds = [Credential::AccessToken, Credential::IdToken, Credential::TxnToken];
            json!({
                "issuer": issuer.id(),
                "kinds": kinds.iter().filter(|kind| issuer.accepts(**kind)).map(|kind| kind.as_str()).collect::<Vec<_>>(),
                "audiences": issuer.audiences(),
                "algorithms": issuer.algorithms().iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>(),
                "types": issuer.types(),
                "max_lifetime": issuer.max_lifetime(),
                "skew": issuer.skew(),
                "keys": serde_json::from_str::<Value>(keys.expose()).expect("JSON"),
            })
        })
        .collect();
    let tests: Vec<Value> = (1..)
        .zip(cases())
        .map(|(number, case)| {
            json!({
                "number": number,
                "attack": case.attack,
                "as": case.credential.as_str(),
                "header": case.header,
                "payload": String::from_utf8(case.payload).expect("text"),
                "token": case.token,
                "result": if case.reason.is_none() { "valid" } else { "invalid" },
                "reason": case.reason.map(Reason::as_str),
                "choice": case.choice,
            })
        })
        .collect();
    let document = json!({"now": NOW.0, "issuers": issuers, "tests": tests});
    format!("{}\n", serde_json::to_string_pretty(&document).expect("JSON"))
}

#[test]
fn vectors_are_what_this_file_makes() {
    if std::env::var_os("HOPSEAL_BLESS").is_some() {
        std::fs::write(FILE, document()).expect("written");
    }
    let same = std::fs::read_to_string(FILE).expect("the file") == document();
    assert!(same, "run with HOPSEAL_BLESS=1 and look at what changed");
}

#[test]
fn vectors_are_judged_as_they_say() {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(FILE).expect("the file")).expect("JSON");
    let tests = file["tests"].as_array().expect("a list");
    assert!(tests.len() > 75, "{}", tests.len());
    // A registry made of nothing but what the file says.
    let issuers = file["issuers"].as_array().expect("a list").iter().enumerate().map(|(index, issuer)| {
        let texts = |name: &str| -> Vec<String> {
            let list = issuer[name].as_array().expect("a list").iter();
            list.map(|text| text.as_str().expect("text").to_owned()).collect()
        };
        let txn = texts("kinds") == ["txn_token"];
        let kind = if txn { crate::IssuerKind::TxnToken } else { crate::IssuerKind::Static };
        let kinds = [Credential::AccessToken, Credential::IdToken, Credential::TxnToken];
        crate::IssuerBuilder::new(kind, format!("i{index}"), issuer["issuer"].as_str().expect("text"))
            .jwks(issuer["keys"].to_string())
            .audiences(texts("audiences"))
            .algorithms(texts("algorithms").iter().map(|name| crate::Algorithm::parse(name).expect("known")))
            .types(texts("types"))
            .tokens(kinds.into_iter().filter(|kind| texts("kinds").contains(&kind.as_str().to_owned())))
            .max_lifetime(issuer["max_lifetime"].as_u64().expect("a number"))
            .skew(issuer["skew"].as_u64().expect("a number"))
    });
    let registry = Registry::new(issuers).expect("a registry");
    let now = UnixTime(file["now"].as_u64().expect("a number"));
    let validator = crate::Validator::fixed(&registry).expect("keys").clock(now);
    for test in tests {
        let token = Token::new(test["token"].as_str().expect("text"));
        let credential = match test["as"].as_str() {
            Some("access_token") => Credential::AccessToken,
            Some("id_token") => Credential::IdToken,
            _ => Credential::TxnToken,
        };
        let validated = crate::testing::ready(validator.validate(&token, credential)).expect("an answer");
        let reason = validated.refused().map(|refused| refused.reason().as_str());
        assert_eq!(reason, test["reason"].as_str(), "{} {}", test["number"], test["attack"]);
        assert_eq!(reason.is_none(), test["result"] == "valid", "{}", test["number"]);
    }
}
