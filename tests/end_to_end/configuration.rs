//! What a user hands to the program besides traces, right and wrong.

use std::io::Write as _;

use hopseal_identity::attribute;
use hopseal_identity::seal::{Binding, Members, SealingKey};
use serde_json::{Value, json};

use crate::program::{hopseal, report};

const EXAMPLE: &str = "examples/checkout.otlp.json";

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Scenario: a policy, a catalogue, a baseline and keys that cannot be used.
/// Guarantees: status 2, nothing on standard output, and a message that names the file and what to mend.
#[test]
fn wrong_configuration() {
    let policy = file("public:\n  - rutes: [/]\n");
    let broken = file("{\"version\": 1");
    for (option, path, said) in [
        ("--policy", policy.path(), "line 2"),
        ("--policy", "no/such/policy.yaml".as_ref(), "cannot read policy"),
        ("--catalogue", broken.path(), "catalogue"),
        ("--baseline", broken.path(), "baseline"),
    ] {
        let run = hopseal(&["check", option, path.to_str().unwrap(), EXAMPLE]);
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{option}");
        assert!(run.err.contains(said) && run.err.contains(path.to_str().unwrap()), "{}", run.err);
    }
}

/// Scenario: the finding of the example is known from an earlier run, or its severity is lowered by a policy.
/// Guarantees: status 0 for what is known or lowered, 1 for what is new.
#[test]
fn what_is_known_does_not_fail_again() {
    assert_eq!(hopseal(&["check", EXAMPLE]).status, 1);
    let baseline = file(&hopseal(&["check", "--format", "json", EXAMPLE]).out);
    let known = ["check", "--baseline", baseline.path().to_str().unwrap(), EXAMPLE];
    assert_eq!(hopseal(&known).status, 0);
    let empty = file(r#"{"groups": []}"#);
    assert_eq!(hopseal(&["check", "--baseline", empty.path().to_str().unwrap(), EXAMPLE]).status, 1);
    let lenient = file("rules:\n  identity_dropped: {severity: low}\n");
    assert_eq!(hopseal(&["check", "--policy", lenient.path().to_str().unwrap(), EXAMPLE]).status, 0);
}

/// Scenario: a catalogue written by one run is given to the next.
/// Guarantees: the same verdicts, from one pass.
#[test]
fn a_catalogue_repeats_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue.json");
    let path = path.to_str().unwrap();
    let first = report(&["check", "--format", "json", "--write-catalogue", path, EXAMPLE]);
    let second = report(&["check", "--format", "json", "--catalogue", path, EXAMPLE]);
    assert_eq!(first["findings"], second["findings"]);
    assert_eq!(first["coverage"], second["coverage"]);
}

/// RFC 8037 appendix A.1.
const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const TRACE: [u8; 16] = [0x4b; 16];

/// A sealed hop; `shown` replaces members after they were sealed.
fn sealed(shown: &[(&'static str, &str)]) -> Value {
    let members = [
        (attribute::EXP, "1767225900"),
        (attribute::IAT, "1767225600"),
        (attribute::ISS, "main"),
        (attribute::KIND, "user"),
        (attribute::SUB, "x7Qf"),
    ];
    let mut signed = Members::default();
    members.iter().for_each(|(name, value)| signed.set(name, value).unwrap());
    let key = SealingKey::from_jwk(KEY.as_bytes()).unwrap();
    let seal = key.seal(&Binding::new("example.org", TRACE).unwrap(), &signed).unwrap();
    let added = [(attribute::ASSURANCE, "sealed"), (attribute::SEAL, &*seal)];
    let attributes: Vec<Value> = members
        .iter()
        .chain(&added)
        .map(|(key, value)| {
            let value = shown.iter().find(|(name, _)| name == key).map_or(*value, |(_, shown)| shown);
            json!({"key": key, "value": {"stringValue": value}})
        })
        .collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}]},
        "scopeSpans": [{"spans": [{
            "traceId": "4b".repeat(16), "spanId": "0000000000000001", "name": "GET /", "kind": 2,
            "startTimeUnixNano": "1767225700000000000", "endTimeUnixNano": "1767225700000100000",
            "attributes": attributes,
        }]}],
    }]})
}

/// Scenario: a hop that carries a seal, checked with and without the trust domain's public keys; then one whose
/// subject was edited afterwards.
/// Guarantees: without keys it is claimed, with them proven; the edited one is only asserted, and found.
#[test]
fn seals_are_checked_again() {
    let public = SealingKey::from_jwk(KEY.as_bytes()).unwrap().public_jwk();
    let keys = file(&format!("{{\"keys\": [{public}]}}"));
    let hop = |trace: &Value, with_keys: bool| {
        let trace = file(&trace.to_string());
        let (keys, trace) = (keys.path().to_str().unwrap(), trace.path().to_str().unwrap());
        let mut args = vec!["check", "--format", "json", trace];
        if with_keys {
            args.extend(["--keys", keys, "--trust-domain", "example.org"]);
        }
        report(&args)
    };
    let words = |report: &Value| {
        let hop = &report["traces"][0]["hops"][0];
        format!("{} {}", hop["assurance"].as_str().unwrap(), hop["basis"].as_str().unwrap())
    };
    let genuine = sealed(&[]);
    assert_eq!(words(&hop(&genuine, false)), "sealed claimed");
    let proven = hop(&genuine, true);
    assert_eq!(words(&proven), "sealed reverified");
    assert_eq!(proven["coverage"]["proven"], 1);
    let edited = hop(&sealed(&[(attribute::SUB, "mallory")]), true);
    assert_eq!(words(&edited), "asserted claimed");
    let rules: Vec<&Value> = edited["findings"].as_array().unwrap().iter().map(|it| &it["rule"]).collect();
    assert!(rules.contains(&&json!("baggage_tampered")), "{rules:?}");
}

/// Scenario: the configurations that are shipped, and the files that containers are given of them.
/// Guarantees: `hopseal serve` can use each; every file that is named is there, and every service that another waits for.
#[test]
fn what_is_shipped_can_be_used() {
    for name in ["hopseal.yaml", "compose/hopseal.yaml"] {
        let run = hopseal(&["serve", "--config", &format!("../collector-config/{name}"), "--check-config"]);
        assert_eq!((run.status, run.err.as_str()), (0, ""), "{name}");
    }
    let text = std::fs::read_to_string("../docker-compose.yml").expect("shipped");
    let compose: Value = serde_saphyr::from_str(&text).expect("YAML");
    let services = compose["services"].as_object().expect("services");
    let mut files = 0;
    for (name, service) in services {
        for volume in service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let from = volume.split(':').next().expect("a place");
            if let Some(file) = from.strip_prefix("./") {
                assert!(std::path::Path::new("..").join(file).exists(), "{name}: {file}");
                files += 1;
            }
        }
        let waits_for: Vec<&str> = match &service["depends_on"] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            Value::Object(names) => names.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        assert!(waits_for.iter().all(|other| services.contains_key(*other)), "{name}: {waits_for:?}");
        for port in service["ports"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} would be for everybody");
        }
    }
    assert!(files > 6, "{files}");
}
