//! Attack 25, and what good ones say.

mod own;
mod vectors;

use pasetors::keys::{AsymmetricKeyPair, AsymmetricSecretKey, Generate as _, SymmetricKey};
use pasetors::paserk::{FormatAsPaserk, Id};

use super::*;
use crate::testing::{NOW, base64url};
use crate::{IssuerBuilder, IssuerKind};

const CLAIMS: &str = r#"{"iss":"paseto.example","sub":"alice","aud":"orders","jti":"j1",
    "iat":"2027-01-15T08:00:00Z","exp":"2027-01-15T09:00:00+00:00","client_id":"shop","scope":"read"}"#;

fn paserk(key: &impl FormatAsPaserk) -> String {
    let mut text = String::new();
    key.fmt(&mut text).expect("written");
    text
}

/// Two issuers: one with keys for both purposes, one with another of each.
struct World {
    registry: Registry,
    keys: PasetoKeys,
    pair: AsymmetricKeyPair<V4>,
    other: AsymmetricKeyPair<V4>,
    local: SymmetricKey<V4>,
    other_local: SymmetricKey<V4>,
}

impl World {
    fn new() -> Self {
        let (pair, other) =
            (AsymmetricKeyPair::generate().expect("a pair"), AsymmetricKeyPair::generate().expect("a pair"));
        let (local, other_local) =
            (SymmetricKey::generate().expect("a key"), SymmetricKey::generate().expect("a key"));
        let issuer = |name: &str, id: &str, keys: [String; 2]| {
            IssuerBuilder::new(IssuerKind::Paseto, name, id).paserk(keys).audiences(["orders"])
        };
        let registry = Registry::new([
            issuer("ours", "paseto.example", [paserk(&pair.public), paserk(&local)]),
            issuer("evil", "evil.example", [paserk(&other.public), paserk(&other_local)]),
        ])
        .expect("a registry");
        Self { keys: PasetoKeys::of(&registry), registry, pair, other, local, other_local }
    }

    fn sign(&self, claims: &str, footer: &str, assertion: &[u8]) -> String {
        Self::sign_with(&self.pair.secret, claims, footer, assertion)
    }

    fn sign_with(key: &AsymmetricSecretKey<V4>, claims: &str, footer: &str, assertion: &[u8]) -> String {
        let footer = Some(footer.as_bytes());
        PublicToken::sign(key, claims.as_bytes(), footer, Some(assertion)).expect("a token")
    }

    fn encrypt(&self, claims: &str, footer: &str, assertion: &[u8]) -> String {
        let footer = Some(footer.as_bytes());
        LocalToken::encrypt(&self.local, claims.as_bytes(), footer, Some(assertion)).expect("a token")
    }

    /// The footers that name our keys.
    fn pid(&self) -> String {
        format!(r#"{{"kid":"{}"}}"#, paserk(&Id::from(&self.pair.public)))
    }

    fn lid(&self) -> String {
        format!(r#"{{"kid":"{}"}}"#, paserk(&Id::from(&self.local)))
    }

    fn judge(&self, token: &str, assertion: &[u8]) -> Result<Verified, Refused> {
        let token = Token::new(token);
        let paseto = Paseto::parse(&token)?;
        let issuer = paseto.issuer(&self.registry, &self.keys)?;
        let expected = Expected::from(Credential::Paseto).implicit_assertion(assertion);
        paseto.verify(issuer, &self.keys, &expected, NOW)
    }

    fn reason(&self, token: &str) -> Option<Reason> {
        self.judge(token, b"").err().map(|refused| refused.reason())
    }
}

#[test]
fn both_purposes_become_principals() {
    let world = World::new();
    for (token, algorithm) in [
        (world.sign(CLAIMS, &world.pid(), b"trace"), "v4.public"),
        (world.encrypt(CLAIMS, &world.lid(), b"trace"), "v4.local"),
    ] {
        let verified = world.judge(&token, b"trace").expect("good");
        let (principal, evidence) = (verified.principal(), verified.evidence());
        assert_eq!((principal.id.as_str(), principal.issuer.as_str()), ("alice", "paseto.example"));
        assert_eq!((principal.client.as_deref(), principal.expiry), (Some("shop"), UnixTime(1_800_003_600)));
        assert_eq!((evidence.algorithm, evidence.issuer.as_str()), (Some(algorithm), "ours"));
        assert_eq!((evidence.token_id.as_deref(), evidence.issued_at), (Some("j1"), Some(NOW)));
    }
    assert_eq!(
        world.reason(&world.sign(CLAIMS, "", b"")),
        None,
        "a footer is not needed where there is one key"
    );
}

#[test]
fn attack_25_other_versions_and_purposes() {
    let world = World::new();
    let good = world.sign(CLAIMS, &world.pid(), b"");
    let body = good.strip_prefix("v4.public.").expect("its header");
    for header in
        ["v3.public.", "v2.public.", "v1.public.", "V4.public.", "v4.Public.", "v4.secret.", "v5.public."]
    {
        assert_eq!(world.reason(&format!("{header}{body}")), Some(Reason::Algorithm), "{header}");
    }
    // A signature as a ciphertext: no key of that purpose goes by the id of the footer.
    assert_eq!(world.reason(&format!("v4.local.{body}")), Some(Reason::UnknownKey));
    let lid = world.lid();
    let forged = format!("v4.local.{}.{}", body.split('.').next().expect("a body"), base64url(lid));
    assert_eq!(world.reason(&forged), Some(Reason::Signature));
    // The public key as a secret one.
    let public = SymmetricKey::<V4>::from(world.pair.public.as_bytes()).expect("32 bytes");
    let footer = format!(r#"{{"kid":"{}"}}"#, paserk(&Id::from(&public)));
    let forged =
        LocalToken::encrypt(&public, CLAIMS.as_bytes(), Some(footer.as_bytes()), None).expect("a token");
    assert_eq!(world.reason(&forged), Some(Reason::UnknownKey));
}

#[test]
fn attack_25_another_key_in_the_footer() {
    let world = World::new();
    let body = |token: &str| token.rsplit_once('.').expect("a footer").0.to_owned();
    let good = world.sign(CLAIMS, &world.pid(), b"");
    let theirs = format!(r#"{{"kid":"{}"}}"#, paserk(&Id::from(&world.other.public)));
    // The footer is signed; and a key of another issuer is not looked for.
    assert_eq!(world.reason(&format!("{}.{}", body(&good), base64url(&theirs))), Some(Reason::UnknownKey));
    assert_eq!(
        world.reason(&World::sign_with(&world.other.secret, CLAIMS, &theirs, b"")),
        Some(Reason::UnknownKey)
    );
    assert_eq!(
        world.reason(&World::sign_with(&world.other.secret, CLAIMS, "", b"")),
        Some(Reason::Signature)
    );
    assert_eq!(world.reason(&body(&good)), Some(Reason::Signature), "cut off");
    let spaced = world.pid().replace(':', ": ");
    assert_eq!(world.reason(&format!("{}.{}", body(&good), base64url(spaced))), Some(Reason::Signature));

    // Encrypted: the footer picks the issuer, and what is inside must agree.
    let theirs = format!(r#"{{"kid":"{}"}}"#, paserk(&Id::from(&world.other_local)));
    let forged = LocalToken::encrypt(&world.other_local, CLAIMS.as_bytes(), Some(theirs.as_bytes()), None)
        .expect("a token");
    assert_eq!(world.reason(&forged), Some(Reason::Issuer));
    let good = world.encrypt(CLAIMS, &world.lid(), b"");
    assert_eq!(world.reason(&format!("{}.{}", body(&good), base64url(&theirs))), Some(Reason::Signature));
    assert_eq!(world.reason(&world.encrypt(CLAIMS, "", b"")), Some(Reason::UnknownKey), "nobody's");
}

#[test]
fn attack_25_footers_that_two_parsers_read_differently() {
    let world = World::new();
    let kid = paserk(&Id::from(&world.pair.public));
    for (footer, reason) in [
        (format!(r#"{{"kid":"{kid}","kid":"{kid}"}}"#), Some(Reason::Duplicate)),
        (format!(r#"["{kid}"]"#), Some(Reason::Malformed)),
        ("not JSON".to_owned(), Some(Reason::Malformed)),
        (r#"{"kid":5}"#.to_owned(), Some(Reason::Claim)),
        (world.lid(), Some(Reason::UnknownKey)),
        (r#"{"kid":"../k4"}"#.to_owned(), Some(Reason::UnknownKey)),
        (format!(r#"{{"x":"{}"}}"#, "x".repeat(512)), Some(Reason::TooLarge)),
        (format!(r#"{{"kid":"{kid}","wpk":"k4.public-wrap.pie.x"}}"#), None),
    ] {
        assert_eq!(world.reason(&world.sign(CLAIMS, &footer, b"")), reason, "{footer:.60}");
    }
    let offered = world.sign(CLAIMS, &format!(r#"{{"kid":"{kid}","wpk":"k4.public-wrap.pie.x"}}"#), b"");
    assert!(world.judge(&offered, b"").expect("good").evidence().offered_key);
}

#[test]
fn attack_25_another_implicit_assertion() {
    let world = World::new();
    for token in
        [world.sign(CLAIMS, &world.pid(), b"trace 1"), world.encrypt(CLAIMS, &world.lid(), b"trace 1")]
    {
        assert!(world.judge(&token, b"trace 1").is_ok());
        for assertion in [&b""[..], b"trace 2", b"trace 1 "] {
            let refused = world.judge(&token, assertion).expect_err("another");
            assert_eq!(refused.reason(), Reason::Signature);
        }
    }
}

#[test]
fn attack_25_times_that_are_not_of_rfc_3339() {
    let world = World::new();
    let exp = "2027-01-15T09:00:00+00:00";
    for (time, reason) in [
        ("\"2027-01-15T09:00:00Z\"", None),
        ("\"2027-01-15 09:00:00Z\"", Some(Reason::Claim)),
        ("\"tomorrow\"", Some(Reason::Claim)),
        ("\"\"", Some(Reason::Claim)),
        ("\"1800003600\"", Some(Reason::Claim)),
        ("1800003600", Some(Reason::Claim)),
        ("null", Some(Reason::Claim)),
        ("\"2027-01-15T07:59:30Z\"", Some(Reason::Claim)),
        ("\"2127-01-15T09:00:00Z\"", Some(Reason::Lifetime)),
    ] {
        let claims = CLAIMS.replace(&format!("\"{exp}\""), time);
        assert_eq!(world.reason(&world.sign(&claims, "", b"")), reason, "{time}");
    }
    let dated = |iat: &str, exp_: &str| CLAIMS.replace("2027-01-15T08:00:00Z", iat).replace(exp, exp_);
    let expired = dated("2027-01-15T07:00:00Z", "2027-01-15T07:59:00Z");
    assert_eq!(world.reason(&world.sign(&expired, "", b"")), Some(Reason::Expired));
    let future = dated("2027-01-15T08:01:01Z", exp);
    assert_eq!(world.reason(&world.sign(&future, "", b"")), Some(Reason::Premature));
    let nbf = CLAIMS.replace("\"jti\"", "\"nbf\":\"2027-01-15T08:01:01Z\",\"jti\"");
    assert_eq!(world.reason(&world.sign(&nbf, "", b"")), Some(Reason::Premature));
}

#[test]
fn claims_are_held_to_the_same_as_those_of_jwts() {
    let world = World::new();
    for (before, after, reason) in [
        (r#""aud":"orders","#, "", Reason::MissingClaim),
        (r#""aud":"orders""#, r#""aud":["orders"]"#, Reason::Claim),
        (r#""aud":"orders""#, r#""aud":"other""#, Reason::Audience),
        (r#""sub":"alice","#, "", Reason::MissingClaim),
        (r#""sub":"alice""#, r#""sub":"""#, Reason::Claim),
        (r#""sub":"alice""#, r#""sub":"alice","sub":"bob""#, Reason::Duplicate),
        (r#""iss":"paseto.example","#, "", Reason::MissingClaim),
        (r#""iss":"paseto.example""#, r#""iss":["paseto.example"]"#, Reason::Claim),
        (r#""iss":"paseto.example""#, r#""iss":"other.example""#, Reason::Issuer),
        (r#""iss":"paseto.example""#, r#""iss":"evil.example""#, Reason::Signature),
        (r#""jti""#, r#""cnf":{"jkt":"x"},"jti""#, Reason::Binding),
    ] {
        let claims = CLAIMS.replace(before, after);
        assert_ne!(claims, CLAIMS, "{before}");
        assert_eq!(world.reason(&world.sign(&claims, "", b"")), Some(reason), "{after}");
    }
}

#[test]
fn other_spellings_and_sizes_of_the_same_token() {
    let world = World::new();
    let good = world.sign(CLAIMS, "", b"");
    for (token, reason) in [
        (format!("{good}="), Reason::Malformed),
        (format!("{good}."), Reason::Malformed),
        (format!("{good}.e30.e30"), Reason::Malformed),
        (format!(" {good}"), Reason::Algorithm),
        (format!("{good}\n"), Reason::Malformed),
        ("v4.public.".to_owned(), Reason::Malformed),
        ("v4.public.AAAA".to_owned(), Reason::Malformed),
        ("v4.local.AAAA".to_owned(), Reason::Malformed),
        ("v4.public".to_owned(), Reason::Malformed),
        (String::new(), Reason::Malformed),
        (format!("v4.public.{}", "!".repeat(9000)), Reason::TooLarge),
    ] {
        assert_eq!(world.reason(&token), Some(reason), "{token:.40}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let world = World::new();
    let token = Token::new(world.sign(CLAIMS, "", b""));
    let shown = format!("{:?} {:?}", world.keys, Paseto::parse(&token).expect("in order"));
    assert!(!shown.contains(&base64url(world.local.as_bytes())) && !shown.contains("alice"), "{shown}");
    assert!(shown.contains("k4.lid."), "{shown}");
    // An opaque token that came here by mistake.
    let refused = world.judge("hunter2.swordfish.x", b"").expect_err("no PASETO");
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
}
