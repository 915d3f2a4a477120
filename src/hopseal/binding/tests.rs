//! Attacks on tokens that are bound, and on the proofs that come with them: through the front door.

use crate::testing::{Mint, NOW, base64url, ready, registry};
use crate::{
    Clock, Credential, Dpop, DpopSettings, Expected, Nonces, Reason, Secret, Token, Undecided, UnixTime,
    Validated, Validator, keys::FixedKeys,
};

const ADDRESS: &str = "https://orders.example/list";

fn validator(clock: impl Clock + 'static, settings: DpopSettings) -> Validator<FixedKeys> {
    Validator::fixed(&registry()).expect("keys").clock(clock).with_dpop(Dpop::new(settings))
}

fn bound() -> Token {
    Mint::access().bound().token()
}

fn send(validator: &Validator<FixedKeys>, token: &Token, proof: &Token) -> Result<Validated, Undecided> {
    let expected = Expected::from(Credential::AccessToken).proof(proof, "GET", ADDRESS);
    ready(validator.validate(token, expected))
}

fn reason(validated: Result<Validated, Undecided>) -> Option<Reason> {
    validated.expect("an answer").refused().map(crate::Refused::reason)
}

/// What comes of a proof beside a good token that is bound to its key.
fn judge(mint: &Mint) -> Option<Reason> {
    reason(send(&validator(NOW, DpopSettings::default()), &bound(), &mint.token()))
}

#[test]
fn a_good_proof_and_how_much_it_may_differ() {
    let proof = || Mint::proof(&bound());
    for (name, mint) in [
        ("as it is", proof()),
        ("with a query", proof().set("htu", r#""https://orders.example/list?a=b#c""#)),
        ("written otherwise", proof().set("htu", r#""HTTPS://Orders.Example:443/%6cist""#)),
        ("as old as allowed", proof().set("iat", "1799999940")),
        ("clocks apart", proof().set("iat", "1800000010")),
        ("with more claims", proof().set("x", "1")),
        ("with an algorithm in its key", proof().header("jwk", &jwk(r#","alg":"ES256""#))),
    ] {
        assert_eq!(judge(&mint), None, "{name}");
    }
}

fn jwk(more: &str) -> String {
    let mint = Mint::proof(&bound()).header_json();
    let jwk = mint.split_once(r#""jwk":"#).expect("a key").1;
    format!("{}{more}}}", jwk.split('}').next().expect("a key"))
}

#[test]
fn attack_23_a_proof_that_comes_again() {
    let validator = validator(NOW, DpopSettings::default());
    let (token, proof) = (bound(), Mint::proof(&bound()).token());
    assert_eq!(reason(send(&validator, &token, &proof)), None);
    assert_eq!(reason(send(&validator, &token, &proof)), Some(Reason::Replayed));
    // Signed anew with the same id, too; with another, it is another.
    assert_eq!(reason(send(&validator, &token, &Mint::proof(&token).token())), Some(Reason::Replayed));
    let other = Mint::proof(&token).set("jti", r#""p2""#).token();
    assert_eq!(reason(send(&validator, &token, &other)), None);
}

#[test]
fn attack_23_what_is_refused_is_not_remembered_and_what_is_full_is_no_answer() {
    let validator = validator(NOW, DpopSettings { remembered: 1, ..DpopSettings::default() });
    let token = bound();
    for jti in ["a", "b", "c"] {
        let bad = Mint::proof(&token).set("jti", &format!("\"{jti}\"")).set("htm", r#""POST""#).token();
        assert_eq!(reason(send(&validator, &token, &bad)), Some(Reason::Proof));
    }
    assert_eq!(reason(send(&validator, &token, &Mint::proof(&token).token())), None);
    let second = Mint::proof(&token).set("jti", r#""p2""#).token();
    assert_eq!(send(&validator, &token, &second), Err(Undecided::NoRoom));
}

#[test]
fn a_bound_token_without_a_proof_and_a_proof_without_a_bound_token() {
    let validator = validator(NOW, DpopSettings::default());
    let plain = Mint::access().token();
    let stolen = ready(validator.validate(&bound(), Credential::AccessToken));
    assert_eq!(reason(stolen), Some(Reason::Binding));
    assert_eq!(reason(send(&validator, &plain, &Mint::proof(&plain).token())), Some(Reason::Binding));
    // Bound to another key than the one that signs the proof.
    let other = Mint::access().set("cnf", &format!(r#"{{"jkt":"{}"}}"#, base64url([5; 32]))).token();
    assert_eq!(reason(send(&validator, &other, &Mint::proof(&other).token())), Some(Reason::Binding));
}

#[test]
fn proofs_after_rfc_9449_section_4_3() {
    let proof = || Mint::proof(&bound());
    let set = |name: &str, json: &str| proof().set(name, json);
    let header = |name: &str, json: &str| proof().header(name, json);
    let other_key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    for (name, mint, expected) in [
        ("no type", proof().without_header("typ"), Reason::Proof),
        ("an access token as a proof", header("typ", r#""at+jwt""#), Reason::Proof),
        ("no key", proof().without_header("jwk"), Reason::Proof),
        (
            "a key that did not sign",
            header(
                "jwk",
                r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#,
            ),
            Reason::Proof,
        ),
        ("another key, which signed", header("alg", r#""EdDSA""#).header("jwk", other_key), Reason::Binding),
        (
            "a private key",
            header("jwk", &jwk(r#","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI""#)),
            Reason::Proof,
        ),
        ("a key for encryption", header("jwk", &jwk(r#","use":"enc""#)), Reason::Proof),
        ("a key for another algorithm", header("jwk", &jwk(r#","alg":"ES384""#)), Reason::Proof),
        (
            "a secret",
            header("alg", r#""HS256""#)
                .header("jwk", r#"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#),
            Reason::Proof,
        ),
        ("none", header("alg", r#""none""#), Reason::Proof),
        ("a key that is no object", header("jwk", "5"), Reason::Proof),
        ("crit", header("crit", r#"["a"]"#), Reason::Proof),
        ("no jti", proof().without("jti"), Reason::Proof),
        ("jti empty", set("jti", r#""""#), Reason::Proof),
        ("jti a number", set("jti", "5"), Reason::Proof),
        ("jti too long", set("jti", &format!("{:?}", "j".repeat(2000))), Reason::Proof),
        ("no htm", proof().without("htm"), Reason::Proof),
        ("another method", set("htm", r#""POST""#), Reason::Proof),
        ("the method in lower case", set("htm", r#""get""#), Reason::Proof),
        ("no htu", proof().without("htu"), Reason::Proof),
        ("another path", set("htu", r#""https://orders.example/list2""#), Reason::Proof),
        ("a slash more", set("htu", r#""https://orders.example/list/""#), Reason::Proof),
        ("the path in capitals", set("htu", r#""https://orders.example/LIST""#), Reason::Proof),
        ("another host", set("htu", r#""https://evil.example/list""#), Reason::Proof),
        ("another scheme", set("htu", r#""http://orders.example/list""#), Reason::Proof),
        ("another port", set("htu", r#""https://orders.example:8443/list""#), Reason::Proof),
        ("a user", set("htu", r#""https://a@orders.example/list""#), Reason::Proof),
        ("no iat", proof().without("iat"), Reason::Proof),
        ("iat as text", set("iat", r#""1800000000""#), Reason::Proof),
        ("too old", set("iat", "1799999939"), Reason::Proof),
        ("from the future", set("iat", "1800000011"), Reason::Proof),
        ("no ath", proof().without("ath"), Reason::Proof),
        ("of another token", set("ath", &format!("{:?}", base64url([1; 32]))), Reason::Proof),
        ("ath cut short", set("ath", r#""AAAA""#), Reason::Proof),
        ("a claim twice", proof().also("htm", r#""GET""#), Reason::Proof),
    ] {
        assert_eq!(judge(&mint), Some(expected), "{name}");
    }
    let token = bound();
    for text in ["", "a.b.c", "x"] {
        let sent = send(&validator(NOW, DpopSettings::default()), &token, &Token::new(text));
        assert_eq!(reason(sent), Some(Reason::Proof), "{text}");
    }
}

#[test]
fn a_proof_is_no_token() {
    let validator = validator(NOW, DpopSettings::default());
    let claims = Mint::proof(&bound())
        .set("iss", r#""https://id.example""#)
        .set("aud", r#""orders""#)
        .set("sub", r#""alice""#)
        .set("exp", "1800000600");
    let validated = ready(validator.validate(&claims.token(), Credential::AccessToken));
    assert_eq!(reason(validated), Some(Reason::Type));
}

#[test]
fn nonces_that_we_hand_out() {
    let secret = Secret::new("of 32 bytes or more, and random!");
    let nonces = || Nonces::new(&secret, 60).expect("long enough");
    let validator = validator(NOW, DpopSettings { nonces: Some(nonces()), ..DpopSettings::default() });
    let token = bound();
    for (jti, nonce, expected) in [
        ("a", None, Some(Reason::Nonce)),
        ("b", Some("x".to_owned()), Some(Reason::Nonce)),
        ("c", Some(nonces().issue(UnixTime(NOW.0 - 61))), Some(Reason::Nonce)),
        ("d", Some(nonces().issue(UnixTime(NOW.0 - 60))), None),
        ("e", Some(nonces().issue(NOW)), None),
    ] {
        let mint = Mint::proof(&token).set("jti", &format!("{jti:?}"));
        let mint = nonce.map_or(mint.clone(), |nonce| mint.set("nonce", &format!("{nonce:?}")));
        assert_eq!(reason(send(&validator, &token, &mint.token())), expected, "{jti}");
    }
}

#[test]
fn certificates_after_rfc_8705() {
    let validator = validator(NOW, DpopSettings::default());
    let der = b"stands for a certificate, of which only the digest counts";
    let digest = {
        use sha2::Digest as _;
        base64url(sha2::Sha256::digest(der))
    };
    let token = Mint::access().set("cnf", &format!(r#"{{"x5t#S256":"{digest}"}}"#)).token();
    let access = Expected::from(Credential::AccessToken);
    for (name, token, expected, refused) in [
        ("its own", &token, access.certificate(der), None),
        ("another", &token, access.certificate(b"another"), Some(Reason::Binding)),
        ("none", &token, access, Some(Reason::Binding)),
        ("not bound", &Mint::access().token(), access.certificate(der), None),
    ] {
        assert_eq!(reason(ready(validator.validate(token, expected))), refused, "{name}");
    }
    // Bound to both, it takes both.
    let jkt = Mint::access().bound().claims_json();
    let jkt = jkt.split_once(r#""jkt":""#).expect("bound").1.split('"').next().expect("a digest").to_owned();
    let both = Mint::access().set("cnf", &format!(r#"{{"jkt":"{jkt}","x5t#S256":"{digest}"}}"#)).token();
    let proof = Mint::proof(&both).token();
    for (expected, refused) in [
        (access.certificate(der), Some(Reason::Binding)),
        (access.proof(&proof, "GET", ADDRESS), Some(Reason::Binding)),
        (access.proof(&proof, "GET", ADDRESS).certificate(der), None),
    ] {
        assert_eq!(reason(ready(validator.validate(&both, expected))), refused);
    }
}

#[cfg(feature = "cache")]
#[test]
fn what_a_token_is_bound_to_is_looked_at_again_when_it_is_remembered() {
    let validator = validator(NOW, DpopSettings::default()).cache(crate::CacheConfig::default());
    let token = bound();
    assert_eq!(reason(send(&validator, &token, &Mint::proof(&token).token())), None);
    assert_eq!(reason(send(&validator, &token, &Mint::proof(&token).token())), Some(Reason::Replayed));
    let stolen = ready(validator.validate(&token, Credential::AccessToken));
    assert_eq!(reason(stolen), Some(Reason::Binding));
    let next = Mint::proof(&token).set("jti", r#""p2""#).token();
    assert_eq!(reason(send(&validator, &token, &next)), None);
    assert_eq!(validator.cache_stats().expect("a cache").hits, 3);
}

/// RFC 9449 section 7.1.
#[test]
fn a_token_is_good_with_the_scheme_that_it_is_for() {
    let (bound, free) = (bound(), Mint::access().token());
    for (scheme, token, proven, expected) in [
        ("DPoP", &bound, true, None),
        ("dpop", &bound, true, None),
        ("DPoP", &bound, false, Some(Reason::Binding)),
        ("Bearer", &bound, true, Some(Reason::Binding)),
        ("Bearer", &bound, false, Some(Reason::Binding)),
        ("Bearer", &free, false, None),
        ("DPoP", &free, false, Some(Reason::Binding)),
        ("DPoP", &free, true, Some(Reason::Binding)),
    ] {
        let presented = Token::from_authorization(&format!("{scheme} {}", token.expose())).expect("a token");
        let validator = validator(NOW, DpopSettings::default());
        let (proof, expected_to_be) = (Mint::proof(token).token(), Expected::from(Credential::AccessToken));
        let found = match proven {
            true => send(&validator, &presented, &proof),
            false => ready(validator.validate(&presented, expected_to_be)),
        };
        assert_eq!(reason(found), expected, "{scheme} {proven}");
    }
}
