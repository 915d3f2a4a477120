//! The attacks on JOSE that are known, by name. Those on claims are not the gate's.

use super::*;
use crate::{Algorithm, Reason};

mod vectors;

const ED25519: &str =
    r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const HS256: &str = r#"{"kty":"oct","kid":"h1","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;
const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"e1","x":"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY",
    "y":"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw"}"#;

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with this header, signed with the secret of [`HS256`].
fn signed(header: &str) -> String {
    let body = format!("{}.{}", base64url(header), base64url("{}"));
    let secret: Vec<u8> = (0..32).collect();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    format!("{body}.{}", base64url(aws_lc_rs::hmac::sign(&key, body.as_bytes())))
}

fn secrets() -> KeySet {
    KeySet::from_secrets(format!(r#"{{"keys":[{HS256}]}}"#).as_bytes(), &[Algorithm::Hs256]).expect("a set").0
}

/// What comes of a token: the reason that it is refused for.
fn outcome(keys: &KeySet, token: &str) -> Option<Reason> {
    let verified = Compact::parse(token).and_then(|token| keys.verify(&token).map(<[u8]>::to_vec));
    verified.err().map(|refused| refused.reason())
}

/// Headers of correctly signed tokens, and why they are refused all the same.
fn check(table: &[(&str, Option<Reason>)]) {
    let keys = secrets();
    for (header, reason) in table {
        assert_eq!(outcome(&keys, &signed(header)), *reason, "{header}");
    }
}

#[test]
fn the_good_one_is_accepted() {
    check(&[(r#"{"alg":"HS256","kid":"h1"}"#, None), (r#"{"alg":"HS256"}"#, None)]);
}

#[test]
fn attack_1_alg_none_and_its_spellings() {
    check(&[
        (r#"{"alg":"none"}"#, Some(Reason::Algorithm)),
        (r#"{"alg":"None"}"#, Some(Reason::Algorithm)),
        (r#"{"alg":"nOnE"}"#, Some(Reason::Algorithm)),
        (r#"{"alg":""}"#, Some(Reason::Algorithm)),
        (r#"{"alg":"hs256"}"#, Some(Reason::Algorithm)),
        (r#"{"alg":5}"#, Some(Reason::Malformed)),
        (r#"{"alg":null}"#, Some(Reason::Malformed)),
        (r"{}", Some(Reason::Algorithm)),
        ("[]", Some(Reason::Malformed)),
    ]);
}

#[test]
fn attack_1_wrong_number_of_parts_and_empty_signature() {
    let (keys, good) = (secrets(), signed(r#"{"alg":"HS256"}"#));
    let unsigned = good.rsplit_once('.').expect("parts").0;
    for (token, reason) in [
        (unsigned.to_owned(), Reason::Malformed),
        (format!("{unsigned}."), Reason::Malformed),
        (format!("{good}."), Reason::Malformed),
        (format!("{good}.e30"), Reason::Malformed),
        (String::new(), Reason::Malformed),
        ("..".to_owned(), Reason::Malformed),
    ] {
        assert_eq!(outcome(&keys, &token), Some(reason), "{token}");
    }
}

#[test]
fn attack_2_a_public_key_as_a_secret() {
    // The point as it stands in the key set is the "secret" of a MAC, for each of the ways to write it.
    let public = format!(r#"{{"keys":[{P256}]}}"#);
    let all = Algorithm::ALL;
    let es256: Vec<Algorithm> = vec![Algorithm::Es256];
    let (keys, skipped) = KeySet::from_jwks(public.as_bytes(), &es256).expect("a set");
    assert_eq!((keys.len(), skipped.len()), (1, 0));
    let body = format!("{}.e30", base64url(r#"{"alg":"HS256","kid":"e1"}"#));
    for secret in [public.as_bytes(), P256.as_bytes()] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let token = format!("{body}.{}", base64url(aws_lc_rs::hmac::sign(&key, body.as_bytes())));
        assert_eq!(outcome(&keys, &token), Some(Reason::Algorithm));
    }
    // An issuer cannot be made to hand out a secret either, whatever it is trusted with.
    let (keys, skipped) =
        KeySet::from_jwks(format!(r#"{{"keys":[{HS256}]}}"#).as_bytes(), &all).expect("a set");
    assert!(keys.is_empty());
    assert_eq!(skipped.first().map(|key| key.fault), Some(KeyFault::Secret));
    let mixed = format!(r#"{{"keys":[{HS256},{P256}]}}"#);
    assert_eq!(KeySet::from_secrets(mixed.as_bytes(), &all).err(), Some(KeySetError::Mixed));
}

#[test]
fn attack_3_a_key_offered_in_the_header_is_ignored_and_told() {
    for member in [r#""jwk":{"kty":"oct"}"#, r#""jku":"https://evil.example""#, r#""x5c":[]"#, r#""x5u":"x""#]
    {
        let token = signed(&format!(r#"{{"alg":"HS256","kid":"h1",{member}}}"#));
        let compact = Compact::parse(&token).expect("in order");
        assert!(compact.offered_key(), "{member}");
        assert_eq!(outcome(&secrets(), &token), None, "{member}");
        let evil = format!("{}AAAAAAAA", token.get(..token.len() - 8).expect("ASCII"));
        assert_eq!(outcome(&secrets(), &evil), Some(Reason::Signature), "{member}");
    }
    assert!(!Compact::parse(&signed(r#"{"alg":"HS256"}"#)).expect("in order").offered_key());
}

#[test]
fn attack_4_key_ids_that_are_paths_queries_or_too_long() {
    for kid in ["../../dev/null", "' OR 1=1 --", "*)(uid=*", "https://evil.example/k", "H1", "h1 "] {
        check(&[(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), Some(Reason::UnknownKey))]);
    }
    check(&[
        (r#"{"alg":"HS256","kid":"h1\u0000"}"#, Some(Reason::UnknownKey)),
        (r#"{"alg":"HS256","kid":""}"#, Some(Reason::UnknownKey)),
        (r#"{"alg":"HS256","kid":1}"#, Some(Reason::Malformed)),
    ]);
    let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(4096));
    let refused = Compact::parse(&signed(&long)).expect_err("too long");
    assert_eq!(refused.reason(), Reason::UnknownKey);
    assert!(refused.detail().len() < 200, "{refused}");
}

#[test]
fn attack_5_psychic_signatures() {
    let (keys, _) =
        KeySet::from_jwks(format!(r#"{{"keys":[{P256}]}}"#).as_bytes(), &[Algorithm::Es256]).expect("a set");
    let body = format!("{}.e30", base64url(r#"{"alg":"ES256","kid":"e1"}"#));
    for signature in
        [vec![0; 64], vec![0xff; 64], vec![0; 63], vec![0; 65], vec![0x30, 0x06, 2, 1, 0, 2, 1, 0]]
    {
        let token = format!("{body}.{}", base64url(&signature));
        assert_eq!(outcome(&keys, &token), Some(Reason::Signature), "{signature:?}");
    }
}

/// Why the one key of a published set is skipped.
fn fault(jwk: &str, allowed: &[Algorithm]) -> Option<KeyFault> {
    let (keys, skipped) =
        KeySet::from_jwks(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes(), allowed).expect("a set");
    assert_eq!(keys.is_empty(), !skipped.is_empty(), "{jwk}");
    skipped.first().map(|key| key.fault)
}

#[test]
fn attack_6_points_and_curves_that_do_not_belong_together() {
    let edited = |key: &str, from: &str, to: &str| {
        assert!(key.contains(from), "{from}");
        key.replace(from, to)
    };
    for (name, jwk, expected) in [
        ("good", P256.to_owned(), None),
        ("off the curve", edited(P256, "VgmwX".trim_end_matches('X'), "Vgnw"), Some(KeyFault::Point)),
        ("P-384 on a point of P-256", edited(P256, "P-256", "P-384"), Some(KeyFault::Point)),
        ("RSA", edited(P256, "EC", "RSA"), Some(KeyFault::Algorithm)),
        ("ES384 on P-256", edited(P256, r#""kid""#, r#""alg":"ES384","kid""#), Some(KeyFault::Type)),
        ("a short x", edited(P256, "04N0xi21", "0xi2"), Some(KeyFault::Point)),
        ("X25519", edited(ED25519, "Ed25519", "X25519"), Some(KeyFault::Algorithm)),
        ("Ed25519 labelled P-256", edited(ED25519, "Ed25519", "P-256"), Some(KeyFault::Algorithm)),
        ("no curve", edited(ED25519, r#""crv":"Ed25519","#, ""), Some(KeyFault::Algorithm)),
        ("Ed25519 cut short", edited(ED25519, "11qY", ""), Some(KeyFault::Point)),
    ] {
        let allowed = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Es384];
        assert_eq!(fault(&jwk, &allowed), expected, "{name}");
    }
}

#[test]
fn attack_7_weak_keys() {
    for bytes in [0, 1, 16, 31] {
        let jwks = format!(r#"{{"keys":[{{"kty":"oct","k":"{}"}}]}}"#, base64url(vec![7; bytes]));
        let (keys, skipped) = KeySet::from_secrets(jwks.as_bytes(), &[Algorithm::Hs256]).expect("a set");
        assert!(keys.is_empty(), "{bytes}");
        let fault = skipped.first().map(|key| key.fault);
        assert_eq!(fault, Some(KeyFault::Weak("a secret shorter than the hash")), "{bytes}");
    }
    for (bits, e) in [(512, "AQAB"), (1024, "AQAB"), (2048, "AQ"), (2048, "Aw")] {
        let jwk = format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, base64url(vec![0xc5; bits / 8]));
        assert!(matches!(fault(&jwk, &[Algorithm::Rs256]), Some(KeyFault::Weak(_))), "{bits} {e}");
    }
    // ROCA needs a real modulus: see the published vectors.
}

#[test]
fn attack_8_critical_headers_and_unencoded_payloads() {
    check(&[
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, Some(Reason::Critical)),
        (r#"{"alg":"HS256","crit":[]}"#, Some(Reason::Critical)),
        (r#"{"alg":"HS256","b64":false}"#, Some(Reason::Critical)),
        (r#"{"alg":"HS256","b64":true,"crit":["b64"]}"#, Some(Reason::Critical)),
    ]);
}

#[test]
fn attack_9_types_are_compared_as_media_types() {
    for (typ, read) in [("at+jwt", "at+jwt"), ("application/AT+JWT", "at+jwt"), ("JWT", "jwt")] {
        let token = signed(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#));
        assert_eq!(Compact::parse(&token).expect("in order").typ(), Some(read));
    }
    check(&[(r#"{"alg":"HS256","typ":["at+jwt"]}"#, Some(Reason::Malformed))]);
}

#[test]
fn attack_13_and_17_headers_that_two_parsers_read_differently() {
    check(&[
        (r#"{"alg":"HS256","alg":"HS256"}"#, Some(Reason::Duplicate)),
        (r#"{"alg":"HS256","kid":"x","k\u0069d":"h1"}"#, Some(Reason::Duplicate)),
        (r#"{"alg":"HS256","x":{"a":1,"a":2}}"#, Some(Reason::Duplicate)),
        (r#"{"alg":"HS256"} {}"#, Some(Reason::Malformed)),
        ("\u{feff}{\"alg\":\"HS256\"}", Some(Reason::Malformed)),
        (&format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(200), "]".repeat(200)), Some(Reason::TooLarge)),
        (&format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(20), "]".repeat(20)), Some(Reason::TooLarge)),
    ]);
}

#[test]
fn attack_18_size_is_judged_before_anything_is_decoded() {
    let long = "!".repeat(8193); // not even base64url: only its length was looked at
    assert_eq!(outcome(&secrets(), &long), Some(Reason::TooLarge));
    assert_eq!(outcome(&secrets(), long.get(1..).expect("ASCII")), Some(Reason::Malformed));
    let many = format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(100));
    assert_eq!(KeySet::from_jwks(many.as_bytes(), &Algorithm::ALL).err(), Some(KeySetError::TooMany(101)));
    let huge = " ".repeat(1024 * 1024 + 1);
    assert!(matches!(KeySet::from_jwks(huge.as_bytes(), &Algorithm::ALL), Err(KeySetError::TooLong(_))));
}

#[test]
fn attack_19_other_spellings_of_the_same_bytes() {
    let (keys, good) = (secrets(), signed(r#"{"alg":"HS256"}"#));
    let (body, signature) = good.rsplit_once('.').expect("parts");
    // 32 bytes end in a letter with two bits to spare.
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = letters.find(signature.chars().next_back().expect("a letter")).expect("base64url");
    let start = signature.get(..signature.len() - 1).expect("ASCII");
    let twin = format!("{body}.{start}{}", letters.get(last + 1..last + 2).expect("a letter"));
    for token in [twin, format!("{good}="), format!("{good}\n"), format!(" {good}"), good.replace('.', ". ")]
    {
        assert_eq!(outcome(&keys, &token), Some(Reason::Malformed), "{token}");
    }
    assert_eq!(outcome(&keys, &good), None);
}

#[test]
fn attack_20_compression_nesting_and_encryption() {
    check(&[
        (r#"{"alg":"HS256","zip":"DEF"}"#, Some(Reason::Critical)),
        (r#"{"alg":"HS256","cty":"JWT"}"#, Some(Reason::Type)),
        (r#"{"alg":"HS256","enc":"A256GCM"}"#, Some(Reason::Encrypted)),
        (r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483648}"#, Some(Reason::Algorithm)),
    ]);
    assert_eq!(outcome(&secrets(), "e30.e30.e30.e30.e30"), Some(Reason::Encrypted));
}

#[test]
fn attack_21_a_bad_key_does_not_spoil_the_others() {
    let with = |member: &str| ED25519.replace(r#""kid":"k1""#, &format!(r#""kid":"k2",{member}"#));
    for (jwk, expected) in [
        (with(r#""use":"enc""#), KeyFault::Use),
        (with(r#""key_ops":["sign"]"#), KeyFault::Use),
        (with(r#""key_ops":"verify""#), KeyFault::Shape),
        (with(r#""alg":"RS256""#), KeyFault::Algorithm),
        (with(r#""d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#), KeyFault::Private),
        (r#"{"kty":"quantum"}"#.to_owned(), KeyFault::Algorithm),
        ("5".to_owned(), KeyFault::Shape),
        (HS256.to_owned(), KeyFault::Secret),
    ] {
        let set = format!(r#"{{"keys":[{jwk},{ED25519}]}}"#);
        let (keys, skipped) = KeySet::from_jwks(set.as_bytes(), &[Algorithm::EdDsa]).expect("a set");
        assert_eq!(keys.len(), 1, "{jwk}");
        let faults: Vec<(usize, KeyFault)> = skipped.iter().map(|key| (key.index, key.fault)).collect();
        assert_eq!(faults, [(0, expected)], "{jwk}");
    }
    // Both of two keys that share an id and an algorithm go; a third stays.
    let third = ED25519.replace("k1", "k3");
    let set = format!(r#"{{"keys":[{ED25519},{ED25519},{third}]}}"#);
    let (keys, skipped) = KeySet::from_jwks(set.as_bytes(), &[Algorithm::EdDsa]).expect("a set");
    assert_eq!(keys.len(), 1);
    assert!(skipped.iter().all(|key| key.fault == KeyFault::DuplicateKid) && skipped.len() == 2);
    // A twin that is no good may be the one that was meant, unless it is for something else.
    let edited = |from: &str, to: &str| ED25519.replacen(from, to, 1);
    for (name, twin, stays) in [
        ("for another algorithm", P256.replace("e1", "k1"), true),
        ("for encryption", edited("{", r#"{"use":"enc","#), true),
        ("of a kind that nobody knows", r#"{"kty":"quantum","kid":"k1"}"#.to_owned(), true),
        ("of an algorithm that is not accepted", edited("{", r#"{"alg":"ES512","#), true),
        ("a secret", HS256.replace("h1", "k1"), true),
        ("no point", edited("11qY", ""), false),
        ("of no telling kind", r#"{"kid":"k1"}"#.to_owned(), false),
    ] {
        let set = format!(r#"{{"keys":[{twin},{ED25519}]}}"#);
        let (keys, _) =
            KeySet::from_jwks(set.as_bytes(), &[Algorithm::EdDsa, Algorithm::Es256]).expect("a set");
        let token = format!("{}.e30.AA", base64url(r#"{"alg":"EdDSA","kid":"k1"}"#));
        let expected = if stays { Reason::Signature } else { Reason::UnknownKey };
        assert_eq!(outcome(&keys, &token), Some(expected), "{name}");
    }
    for (json, error) in [
        ("<html>", None),
        (r#"{"keys":[],"keys":[]}"#, None),
        ("[]", Some(KeySetError::Shape)),
        (r#"{"keys":{}}"#, Some(KeySetError::Shape)),
    ] {
        let failed = KeySet::from_jwks(json.as_bytes(), &Algorithm::ALL).expect_err(json);
        assert!(error.map_or(matches!(failed, KeySetError::Json(_)), |error| failed == error), "{json}");
    }
}

#[test]
fn a_key_without_an_algorithm_gets_the_only_one_that_it_could_have() {
    let rsa = format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, base64url(vec![0xc5; 256]));
    assert_eq!(fault(&rsa, &[Algorithm::Rs256, Algorithm::Es256]), None);
    assert_eq!(fault(&rsa, &[Algorithm::Rs256, Algorithm::Ps256]), Some(KeyFault::Algorithm));
}

/// Under the identity point, one signature fits every message.
#[test]
fn an_ed25519_key_is_32_bytes_of_a_point_that_somebody_can_hold() {
    use base64::Engine as _;
    let spki = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], &[0x58; 32]].concat();
    let mut identity = [0; 32];
    identity[0] = 1;
    for (name, x) in [("the identity point", &identity[..]), ("SPKI", &spki), ("31 bytes", &[0x58; 31])] {
        let x = URL_SAFE_NO_PAD.encode(x);
        let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}]}}"#);
        let (keys, skipped) = KeySet::from_jwks(jwks.as_bytes(), &[Algorithm::EdDsa]).expect("a set");
        assert!(keys.is_empty(), "{name}");
        assert_eq!(skipped.iter().map(|key| key.fault).collect::<Vec<_>>(), [KeyFault::Point], "{name}");
    }
}

/// SPIFFE Trust Domain and Bundle section 4.2.2.
#[test]
fn a_key_of_a_bundle_says_that_it_is_for_jwt_svids() {
    for (member, fault) in [
        (r#""use":"jwt-svid","#, None),
        (r#""use":"x509-svid","#, Some(KeyFault::Use)),
        (r#""use":"sig","#, Some(KeyFault::Use)),
        ("", Some(KeyFault::NoUse)),
    ] {
        let bundle = format!(r#"{{"keys":[{}]}}"#, P256.replacen('{', &format!("{{{member}"), 1));
        let (keys, skipped) =
            KeySet::from_spiffe_bundle(bundle.as_bytes(), &[Algorithm::Es256]).expect("a set");
        assert_eq!(skipped.first().map(|key| key.fault), fault, "{member}");
        assert_eq!(keys.is_empty(), fault.is_some(), "{member}");
    }
}
