//! Snapshots.

use super::*;

/// A second store takes the keys of the first, and needs no provider to begin with.
#[tokio::test]
async fn a_cold_start_is_warm() {
    let lab = Lab::new(Says::Keys(jwks(&[&jwk("k1")])));
    assert_eq!(lab.ask("k1").await, 200);
    let snapshot = lab.store.snapshot();

    // Taken 59 minutes later, with the provider down: they serve for another minute.
    let cold = Lab::new(Says::Nothing);
    cold.clock.forward(3540);
    assert_eq!(cold.store.restore(&snapshot).expect("a snapshot"), []);
    assert_eq!(cold.ask("k1").await, 200);
    assert_eq!(cold.seen.take(), ["stale 3540", "fetched timeout"]);
    cold.clock.forward(61);
    assert_eq!(cold.ask("k1").await, 503);

    // An hour later they are of no use any more.
    let late = Lab::new(Says::Nothing);
    late.clock.forward(3601);
    assert_eq!(late.store.restore(&snapshot).expect("a snapshot"), [NotRestored::Age("idp".to_owned())]);
    assert_eq!(late.ask("k1").await, 503);
}

#[tokio::test]
async fn what_is_taken_is_held_to_the_registry() {
    let keys = jwks(&[&jwk("k1")]);
    let snapshot = |name: &str, issuer: &str, confirmed: u64, keys: &str| {
        serde_json::json!({"version": 1, "issuers": [
            {"name": name, "issuer": issuer, "confirmed": confirmed, "jwks": keys},
        ]})
        .to_string()
    };
    let id = "https://idp.example";
    let rsa_only = r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#;
    for (snapshot, expected) in [
        (snapshot("idp", id, START, &keys), "[]"),
        (snapshot("idp", id, START + 60, &keys), "[]"),
        (snapshot("other", id, START, &keys), "[Unknown(\"other\")]"),
        (snapshot("idp", "https://evil.example", START, &keys), "[Unknown(\"idp\")]"),
        (snapshot("idp", id, START + 61, &keys), "[Age(\"idp\")]"),
        (snapshot("idp", id, START - 3601, &keys), "[Age(\"idp\")]"),
        (snapshot("idp", id, START, "{}"), "[Keys { issuer: \"idp\", source: KeySet(Shape) }]"),
        (snapshot("idp", id, START, rsa_only), "[Keys { issuer: \"idp\", source: NoUsableKeys }]"),
    ] {
        let lab = Lab::new(Says::Nothing);
        let not = lab.store.restore(snapshot.as_bytes()).expect("a snapshot");
        assert_eq!(format!("{not:?}"), expected);
        assert_eq!(lab.store.in_hand("idp").is_some(), expected == "[]");
    }
    for bad in ["", "[]", "{}", r#"{"version":2,"issuers":[]}"#, r#"{"version":1,"issuers":[{}]}"#] {
        let lab = Lab::new(Says::Nothing);
        assert!(matches!(lab.store.restore(bad.as_bytes()), Err(SnapshotError::Shape)), "{bad}");
    }
}

/// What the store learned later stays.
#[tokio::test]
async fn newer_keys_stay() {
    let lab = Lab::new(Says::Keys(jwks(&[&jwk("k1")])));
    assert_eq!(lab.ask("k1").await, 200);
    let snapshot = lab.store.snapshot();
    lab.idp.says(Says::Keys(jwks(&[&jwk("k2")])));
    lab.clock.forward(600);
    assert_eq!(lab.ask("k1").await, 200);
    assert_eq!(lab.store.restore(&snapshot).expect("a snapshot"), [NotRestored::Older("idp".to_owned())]);
    assert_eq!(lab.ask("k2").await, 200);
}

#[tokio::test]
async fn a_file_is_written_whole_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let lab = Lab::new(Says::Keys(jwks(&[&jwk("k1")])));
    assert_eq!(lab.ask("k1").await, 200);
    lab.store.write_snapshot(&path).expect("written");
    lab.store.write_snapshot(&path).expect("written over");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    let cold = Lab::new(Says::Nothing);
    assert_eq!(cold.store.read_snapshot(&path).expect("a snapshot"), []);
    assert_eq!(cold.ask("k1").await, 200);
    assert!(matches!(cold.store.read_snapshot(&folder.path().join("none")), Err(SnapshotError::File(_))));
    assert!(cold.store.write_snapshot(&folder.path().join("none/keys.json")).is_err());
}
