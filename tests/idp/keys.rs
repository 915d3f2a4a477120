//! Keys from a provider that does wrong.

use hopseal::Algorithm;
use hopseal::jose::Compact;
use hopseal::keys::{FetchFault, KeyStore};

use crate::hostile::{Act, Idp};
use crate::lab::{Hand, garbage, jwk, jwks, registry, store};

const METADATA: &str = "/.well-known/openid-configuration";

async fn lab(keys: &str) -> (Idp, Hand, KeyStore) {
    let (idp, clock) = (Idp::start(keys).await, Hand::new());
    let store = store(&registry(&idp.id, &[Algorithm::EdDsa]), &clock).build().unwrap();
    (idp, clock, store)
}

/// Waits for what goes on in the background to end, one way or another.
async fn ended(store: &KeyStore, failures: u32) {
    while store.status()[0].failures < failures {
        tokio::task::yield_now().await;
    }
}

/// Scenario: a provider whose keys are at hand does everything wrong that a server can do, at each of its two documents.
/// Guarantees: what is wrong is told by its word; the keys at hand go on to serve, under the same epoch; a service that has
/// none is undecided, and never takes a bad set.
#[tokio::test]
async fn whatever_a_provider_does_good_keys_stay() {
    let good = jwks(&["k1"]);
    let other = Idp::start(&good).await;
    let elsewhere = format!("{}/jwks", other.id);
    let twins = format!(r#"{{"keys":[{0},{0}]}}"#, jwk("k1"));
    let thousands = jwks(&vec!["k1"; 5000]);
    let deep = format!(r#"{{"keys":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    let unasked = Act::Raw("304 Not Modified", vec!["content-length: 0".to_owned()], Vec::new());
    let page = "<!doctype html><title>Sign in</title>".to_owned();
    for (path, act, word) in [
        ("/jwks", Act::Mute, "timeout"),
        ("/jwks", Act::Drip, "timeout"),
        ("/jwks", Act::Endless, "too_large"),
        ("/jwks", Act::HangUp, "connection"),
        ("/jwks", Act::lying(10_000_000_000, &good), "too_large"),
        ("/jwks", Act::lying(500, &good), "connection"),
        ("/jwks", Act::lying(20, &good), "key_set"),
        ("/jwks", Act::bomb(), "key_set"),
        ("/jwks", Act::Says(" ".repeat(1024 * 1024 + 1)), "too_large"),
        ("/jwks", Act::Says(page.clone()), "key_set"),
        ("/jwks", Act::Says("{".to_owned()), "key_set"),
        ("/jwks", Act::Says(deep), "key_set"),
        ("/jwks", Act::Says(thousands), "key_set"),
        ("/jwks", Act::Says(twins), "no_usable_keys"),
        ("/jwks", Act::Says(jwks(&[])), "no_usable_keys"),
        ("/jwks", Act::redirect("/other"), "status"),
        ("/jwks", Act::redirect("/jwks"), "status"), // for ever
        ("/jwks", Act::redirect(&elsewhere), "status"),
        ("/jwks", Act::redirect("http://169.254.169.254/latest/meta-data"), "status"),
        ("/jwks", unasked, "status"),
        ("/jwks", Act::Raw("500 Oops", vec![], good.clone().into_bytes()), "status"),
        (METADATA, Act::Mute, "timeout"),
        (METADATA, Act::Endless, "too_large"),
        (METADATA, Act::Says(page), "metadata"),
        (METADATA, Act::Says(other.metadata(&other.id, "/jwks")), "issuer"),
        (METADATA, Act::redirect(&format!("{}{METADATA}", other.id)), "status"),
        (METADATA, Act::Says(r#"{"issuer":"ISSUER"}"#.to_owned()), "metadata"),
        (
            METADATA,
            Act::Says(r#"{"issuer":"ISSUER","jwks_uri":"http://169.254.169.254/"}"#.to_owned()),
            "address",
        ),
        (METADATA, Act::Says(r#"{"issuer":"ISSUER","jwks_uri":"https://10.0.0.1/"}"#.to_owned()), "address"),
        (METADATA, Act::Says(r#"{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}"#.to_owned()), "address"),
    ] {
        let (idp, clock, warm) = lab(&good).await;
        let act = match act {
            Act::Says(text) => Act::Says(text.replace("ISSUER", &idp.id)),
            other => other,
        };
        let what = format!("{path} {:.60}", format!("{act:?}"));
        let before = warm.find("idp", Some("k1")).await.unwrap();
        idp.on(path, act);
        let cold = store(&registry(&idp.id, &[Algorithm::EdDsa]), &clock).build().unwrap();
        clock.forward(3599); // past the time for which the metadata is believed, less a second
        if path == METADATA {
            clock.forward(1);
        }
        let after = warm.find("idp", Some("k1")).await.unwrap();
        ended(&warm, 1).await;
        assert_eq!(after.epoch, before.epoch, "{what}");
        assert!(warm.in_hand("idp").unwrap().set.has("k1"), "{what}");
        let status = warm.status();
        assert_eq!(status[0].fault.as_ref().map(FetchFault::as_str), Some(word), "{what}");

        assert!(cold.find("idp", Some("k1")).await.is_err(), "{what}");
        assert!(cold.in_hand("idp").is_none(), "{what}");
        assert_eq!(other.asked("/jwks") + other.asked(METADATA), 0, "redirects are not followed: {what}");
    }
}

/// Scenario: a provider withdraws a key and brings another.
/// Guarantees: the new key is found with the first token that names it; the old one is gone, and the epoch is another.
#[tokio::test]
async fn a_rotation_is_seen_with_the_first_token() {
    let (idp, _, store) = lab(&jwks(&["k1"])).await;
    let before = store.find("idp", Some("k1")).await.unwrap();
    idp.on("/jwks", Act::Says(jwks(&["k2"])));
    let after = store.find("idp", Some("k2")).await.unwrap();
    assert!(after.set.has("k2") && !after.set.has("k1"));
    assert!(after.epoch > before.epoch);
    assert_eq!((idp.asked("/jwks"), idp.asked(METADATA)), (2, 1));
}

/// Scenario: a provider moves its keys and says so in its metadata.
/// Guarantees: after one fetch that failed, the metadata is read again.
#[tokio::test]
async fn keys_that_moved_are_found() {
    let (idp, clock, store) = lab(&jwks(&["k1"])).await;
    store.find("idp", Some("k1")).await.unwrap();
    idp.on("/jwks", Act::HangUp);
    idp.on("/keys", Act::Says(jwks(&["k2"])));
    idp.on(METADATA, Act::Says(idp.metadata(&idp.id, "/keys")));
    clock.forward(10);
    assert!(store.find("idp", Some("k2")).await.is_err());
    clock.forward(10);
    assert!(store.find("idp", Some("k2")).await.unwrap().set.has("k2"));
}

/// Scenario: twenty thousand tokens come at once, each with a key of its own that nobody has.
/// Guarantees: the provider is asked once for all of them, once more by the burst, and once a cooldown from then on; each
/// token is refused, and a good one in between is verified.
#[tokio::test]
async fn a_flood_of_unknown_keys_is_one_fetch_a_cooldown() {
    let (idp, clock, store) = lab(&jwks(&["k1"])).await;
    store.find("idp", Some("k1")).await.unwrap();
    for round in 1..=3 {
        for at in 0..20_000_u32 {
            let token = garbage(&format!("x{round}.{at}"));
            let token = Compact::parse(&token).unwrap();
            let keys = store.find("idp", token.kid()).await.unwrap();
            assert!(keys.set.verify(&token).is_err());
            if at % 1000 == 0 {
                assert!(store.find("idp", Some("k1")).await.unwrap().set.has("k1"));
            }
        }
        assert_eq!(idp.asked("/jwks"), 1 + 1 + round, "round {round}");
        clock.forward(30);
    }
}
