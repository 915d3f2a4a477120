#[cfg(feature = "cache")]
mod cache;
#[cfg(feature = "cache")]
mod model;
#[cfg(feature = "introspection")]
mod outage;

use super::*;
use crate::testing::{Mint, NOW, ready, registry};
use crate::{Credential, Expected, Issuer, Reason, Refused, keys::Keys};

#[test]
fn what_is_trusted_can_change() {
    let validator = Validator::fixed(&registry()).expect("keys").clock(NOW);
    let token = Mint::access().token();
    let judge = || ready(validator.validate(&token, Credential::AccessToken)).expect("an answer");
    assert!(judge().verified().is_some());
    let other =
        Registry::from_yaml(&crate::testing::yaml().replace("https://id.", "https://new.")).expect("good");
    let keys = FixedKeys::of(&other).expect("keys");
    validator.reload(&other, keys);
    assert_eq!(judge().refused().map(Refused::reason), Some(Reason::Issuer));
}

/// Has no keys, and says whose it was asked for.
#[derive(Debug, Default)]
struct Asked(std::sync::Mutex<Vec<(String, Option<String>)>>);

impl KeySource for Asked {
    async fn keys(&self, issuer: &Issuer, kid: Option<&str>) -> Result<Keys, Undecided> {
        let asked = (issuer.name().to_owned(), kid.map(str::to_owned));
        self.0.lock().expect("no panic").push(asked);
        Err(Undecided::NoKeys { issuer: issuer.name().to_owned() })
    }
}

#[test]
fn one_issuer_is_asked_for_its_keys_and_none_for_what_cannot_be_good() {
    let asked = Arc::new(Asked::default());
    let validator = Validator::new(&registry(), Arc::clone(&asked)).clock(NOW);
    let validate = |mint: &Mint| ready(validator.validate(&mint.token(), Credential::AccessToken));
    for mint in [
        Mint::access().set("iss", r#""https://other.example""#),
        Mint::access().set("iss", r#"["https://id.example"]"#),
        Mint::access().without("iss"),
        Mint::access().header("crit", "[]"),
        Mint::access().also("sub", r#""bob""#),
    ] {
        assert!(validate(&mint).expect("an answer").refused().is_some(), "{}", mint.claims_json());
    }
    assert!(asked.0.lock().expect("no panic").is_empty());
    let undecided = Undecided::NoKeys { issuer: "staff".to_owned() };
    assert_eq!(validate(&Mint::access()), Err(undecided));
    assert_eq!(*asked.0.lock().expect("no panic"), [("staff".to_owned(), Some("k1".to_owned()))]);
}

#[test]
fn a_bound_token_is_not_good_in_anybodys_hands() {
    let validator = Validator::fixed(&registry()).expect("keys").clock(NOW);
    let digest = crate::testing::base64url([5; 32]);
    let token = Mint::access().set("cnf", &format!(r#"{{"jkt":"{digest}"}}"#)).token();
    let validated = ready(validator.validate(&token, Credential::AccessToken)).expect("an answer");
    assert_eq!(validated.refused().map(Refused::reason), Some(Reason::Binding));
}

#[test]
fn attack_23_a_token_that_may_be_used_once() {
    let hand = crate::testing::Hand::default();
    let validator = Validator::fixed(&registry()).expect("keys").clock(hand.clone()).with_room_for_used(2);
    let access = Expected::from(Credential::AccessToken).once();
    let judge = |mint: &Mint, expected: Expected<'_>| {
        ready(validator.validate(&mint.token(), expected))
            .map(|validated| validated.refused().map(Refused::reason))
    };
    let id = |jti: &str| Mint::access().set("jti", &format!("{jti:?}"));
    assert_eq!(judge(&id("a"), access), Ok(None));
    assert_eq!(judge(&id("a"), access), Ok(Some(Reason::Replayed)));
    assert_eq!(judge(&id("a").set("x", "1"), access), Ok(Some(Reason::Replayed)), "signed anew, the same");
    assert_eq!(judge(&id("a"), Credential::AccessToken.into()), Ok(None), "where that is not asked");
    assert_eq!(judge(&Mint::plain(), access), Ok(Some(Reason::MissingClaim)));
    assert_eq!(judge(&id("b").set("aud", r#""x""#), access), Ok(Some(Reason::Audience)));
    // The same id of another issuer, or of a transaction, is another.
    assert_eq!(judge(&id("a").set("iss", r#""https://strict.example""#), access), Ok(None));
    assert_eq!(judge(&Mint::txn(), Expected::from(Credential::TxnToken).once()), Err(Undecided::NoRoom));
    // Room comes with time; and what was forgotten is not good again when the clock goes back.
    hand.set(NOW.plus(660));
    let later = id("c").set("iat", "1800000600").set("exp", "1800001200");
    assert_eq!(judge(&later, access), Ok(None));
    hand.set(NOW);
    assert_eq!(judge(&id("a"), access), Ok(Some(Reason::Replayed)));
}
