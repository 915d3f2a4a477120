//! Our own vectors, in `vectors/paseto.json`: that they are what this file makes, and that we judge them as they say. They are
//! all `v4.public`, whose signatures are always the same.

use serde_json::{Value, json};

use super::*;
use crate::{Validator, keys::FixedKeys};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/paseto.json");
/// RFC 8037 appendix A.1, seed and public half.
const SECRET: [u8; 64] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60, 0xd7, 0x5a,
    0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];
const PUBLIC: &str = "k4.public.11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const CLAIMS: &str = r#"{"iss":"paseto.example","sub":"alice","aud":"orders","iat":"2027-01-15T08:00:00Z","exp":"2027-01-15T09:00:00Z"}"#;

/// What is tried, footer, payload, the assertion that is signed, what is done to the token, and why it is refused.
type Row = (&'static str, String, String, &'static str, fn(String) -> String, Option<Reason>);

fn rows() -> Vec<Row> {
    let key = PublicKey::try_from(PUBLIC).expect("a key");
    let kid = format!(r#"{{"kid":"{}"}}"#, paserk(&Id::from(&key)));
    let as_is: fn(String) -> String = |token| token;
    let claims = |before: &str, after: &str| {
        let claims = CLAIMS.replace(before, after);
        assert_ne!(claims, CLAIMS, "{before}");
        claims
    };
    let footer = |text: &str| (text.to_owned(), CLAIMS.to_owned());
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |attack, (footer, claims): (String, String), assertion, change, reason| {
        rows.push((attack, footer, claims, assertion, change, reason));
    };
    add("none: with a key id", footer(&kid), "", as_is, None);
    add("none: without a footer", footer(""), "", as_is, None);
    add("none: with an implicit assertion", footer(&kid), "trace 1", as_is, None);
    add("none: parts of a second", footer_with(&kid, claims("09:00:00Z", "09:00:00.5Z")), "", as_is, None);
    add("another version", footer(&kid), "", |token| token.replacen("v4", "v3", 1), Some(Reason::Algorithm));
    add(
        "another purpose",
        footer(&kid),
        "",
        |token| token.replacen("public", "local", 1),
        Some(Reason::UnknownKey),
    );
    add("capitals", footer(&kid), "", |token| token.replacen("v4", "V4", 1), Some(Reason::Algorithm));
    add(
        "the footer cut off",
        footer(&kid),
        "",
        |token| token.rsplit_once('.').expect("a footer").0.to_owned(),
        Some(Reason::Signature),
    );
    add("an empty footer", footer(""), "", |token| format!("{token}."), Some(Reason::Malformed));
    add("a fifth part", footer(&kid), "", |token| format!("{token}.e30"), Some(Reason::Malformed));
    add("padding", footer(""), "", |token| format!("{token}="), Some(Reason::Malformed));
    add(
        "the id of another key",
        footer(&format!(r#"{{"kid":"k4.pid.{}"}}"#, "A".repeat(44))),
        "",
        as_is,
        Some(Reason::UnknownKey),
    );
    add(
        "the id of a secret key",
        footer(&format!(r#"{{"kid":"k4.lid.{}"}}"#, "A".repeat(44))),
        "",
        as_is,
        Some(Reason::UnknownKey),
    );
    add("kid twice", footer(&kid.replacen('{', r#"{"kid":"x","#, 1)), "", as_is, Some(Reason::Duplicate));
    add("a footer that is no JSON", footer("alice"), "", as_is, Some(Reason::Malformed));
    add("a footer that is a list", footer("[]"), "", as_is, Some(Reason::Malformed));
    add(
        "a wrapped key in the footer, which is not looked at",
        footer(r#"{"wpk":"k4.local-wrap.pie.x"}"#),
        "",
        as_is,
        None,
    );
    for (attack, before, after, reason) in [
        ("no iss", r#""iss":"paseto.example","#, "", Reason::MissingClaim),
        ("iss is a list", r#""paseto.example""#, r#"["paseto.example"]"#, Reason::Claim),
        ("no aud", r#""aud":"orders","#, "", Reason::MissingClaim),
        ("aud is a list", r#""orders""#, r#"["orders"]"#, Reason::Claim),
        ("aud is not ours", "orders", "other", Reason::Audience),
        ("sub twice", r#""sub""#, r#""sub":"bob","sub""#, Reason::Duplicate),
        ("no exp", r#","exp":"2027-01-15T09:00:00Z""#, "", Reason::MissingClaim),
        ("exp is a number", r#""2027-01-15T09:00:00Z""#, "1800003600", Reason::Claim),
        ("exp with a space for the T", "15T09", "15 09", Reason::Claim),
        ("exp without an offset", "09:00:00Z", "09:00:00", Reason::Claim),
        ("exp on a day that there is not", "01-15T09", "02-30T09", Reason::Claim),
        (
            "exp is over",
            "2027-01-15T08:00:00Z\",\"exp\":\"2027-01-15T09",
            "2027-01-15T06:00:00Z\",\"exp\":\"2027-01-15T07",
            Reason::Expired,
        ),
        ("iat is to come", "08:00:00Z", "08:05:00Z", Reason::Premature),
        ("valid for a hundred years", "2027-01-15T09", "2127-01-15T09", Reason::Lifetime),
    ] {
        add(attack, footer_with("", claims(before, after)), "", as_is, Some(reason));
    }
    rows
}

fn footer_with(footer: &str, claims: String) -> (String, String) {
    (footer.to_owned(), claims)
}

fn document() -> String {
    let secret = AsymmetricSecretKey::<V4>::from(&SECRET).expect("a key");
    let tests: Vec<Value> = (1..)
        .zip(rows())
        .map(|(number, (attack, footer, payload, assertion, change, reason))| {
            let token = change(World::sign_with(&secret, &payload, &footer, assertion.as_bytes()));
            json!({
                "number": number,
                "attack": attack,
                "footer": footer,
                "payload": payload,
                "assertion": assertion,
                "token": token,
                "result": if reason.is_none() { "valid" } else { "invalid" },
                "reason": reason.map(Reason::as_str),
            })
        })
        .collect();
    let issuer = json!({"issuer": "paseto.example", "audiences": ["orders"], "max_lifetime": 86_400, "skew": hopseal_identity::CLOCK_SKEW, "keys": [PUBLIC]});
    let document = json!({"now": NOW.0, "issuers": [issuer], "tests": tests});
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
    let issuer = &file["issuers"][0];
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let registry = Registry::new([IssuerBuilder::new(IssuerKind::Paseto, "ours", text(&issuer["issuer"]))
        .paserk([text(&issuer["keys"][0])])
        .audiences([text(&issuer["audiences"][0])])
        .max_lifetime(issuer["max_lifetime"].as_u64().expect("a number"))
        .skew(issuer["skew"].as_u64().expect("a number"))])
    .expect("a registry");
    let now = UnixTime(file["now"].as_u64().expect("a number"));
    let validator = Validator::new(&registry, FixedKeys::default()).clock(now);
    let tests = file["tests"].as_array().expect("a list");
    assert!(tests.len() > 30, "{}", tests.len());
    for test in tests {
        let (token, assertion) = (Token::new(text(&test["token"])), text(&test["assertion"]));
        let expected = Expected::from(Credential::Paseto).implicit_assertion(assertion.as_bytes());
        let validated = crate::testing::ready(validator.validate(&token, expected)).expect("an answer");
        let reason = validated.refused().map(|refused| refused.reason().as_str());
        assert_eq!(reason, test["reason"].as_str(), "{} {}", test["number"], test["attack"]);
        assert_eq!(reason.is_none(), test["result"] == "valid", "{}", test["number"]);
    }
}
