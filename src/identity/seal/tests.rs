use proptest::prelude::*;

use super::*;
use crate::attribute::{ACT, EXP, IAT, ISS, KIND, SUB, TENANT, TXN};

pub(super) const DOMAIN: &str = "example.org";
pub(super) const TRACE: [u8; 16] =
    [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c];
const NOW: Clock = Clock { at: 1_767_225_660, leeway: 5 };
/// RFC 8037 appendix A.1, under a key id of ours.
pub(super) const PRIVATE: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
pub(super) const OTHER: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}"#;

pub(super) type Sent = Vec<(&'static str, String)>;

pub(super) fn sent() -> Sent {
    [
        (ACT, "q83vEjRWeJA"),
        (EXP, "1767225900"),
        (IAT, "1767225600"),
        (ISS, "main"),
        (KIND, "user"),
        (SUB, "Yx3kQ0m8Zt5r1vBnW2pLdA"),
        (TENANT, "acme"),
        (TXN, "7f3d2c1b0a998877"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

pub(super) fn members(sent: &Sent) -> Members<'_> {
    let mut members = Members::default();
    for (name, value) in sent {
        members.set(name, value).expect("legal member");
    }
    members
}

pub(super) fn binding(domain: &'static str, trace_id: [u8; 16]) -> Binding<'static> {
    Binding::new(domain, trace_id).expect("trust domain")
}

pub(super) fn key(jwk: &str) -> SealingKey {
    SealingKey::from_jwk(jwk.as_bytes()).expect("test key")
}

fn key_set(key: &SealingKey) -> KeySet {
    let (keys, skipped) =
        KeySet::from_jwks(format!(r#"{{"keys":[{}]}}"#, key.public_jwk()).as_bytes()).expect("key set");
    assert_eq!(skipped, []);
    keys
}

fn sealed(sent: &Sent) -> String {
    key(PRIVATE).seal(&binding(DOMAIN, TRACE), &members(sent)).expect("seals")
}

/// What a check of `seal` over `sent` says, under the key and binding it was made with.
fn verdict(sent: &Sent, seal: &str) -> Verdict {
    check(&key_set(&key(PRIVATE)), &binding(DOMAIN, TRACE), &members(sent), seal, NOW)
}

fn valid() -> Verdict {
    Verdict::Valid { kid: "k1".to_owned() }
}

/// Other implementations have to come to the same bytes.
#[test]
fn golden() {
    assert_eq!(
        payload(&binding(DOMAIN, TRACE), &members(&sent())),
        "hopseal-seal-1\n\
         example.org\n\
         0af7651916cd43dd8448eb211c80319c\n\
         hopseal.act=q83vEjRWeJA\n\
         hopseal.exp=1767225900\n\
         hopseal.iat=1767225600\n\
         hopseal.iss=main\n\
         hopseal.kind=user\n\
         hopseal.sub=Yx3kQ0m8Zt5r1vBnW2pLdA\n\
         hopseal.tenant=acme\n\
         hopseal.txn=7f3d2c1b0a998877\n"
    );
    assert_eq!(
        sealed(&sent()),
        "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIiwidGlkIjoiMGFmNzY1MTkxNmNkNDNkZCIsInR5cCI6ImhvcHNlYWwifQ\
         ..0Dl3BgdfciXJI0cWCqgpddL-pm8s9ULZYh2Jz0TdO_augCfn46_8dxafSZnG6LzQZRPyajPQ0-0vp-bSszcSCA"
    );
}

/// The same seal, checked as any JOSE library would: payload put between the dots, signature over the two.
#[test]
fn is_a_plain_jws_once_the_payload_is_put_in() {
    let seal = sealed(&sent());
    let (protected, signature) = seal.split_once("..").expect("detached");
    let payload = BASE64URL.encode(payload(&binding(DOMAIN, TRACE), &members(&sent())));
    let x = BASE64URL.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url");
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, x);
    let signature = BASE64URL.decode(signature).expect("base64url");
    public.verify(format!("{protected}.{payload}").as_bytes(), &signature).expect("verifies");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&BASE64URL.decode(protected).expect("base64url"))
            .expect("JSON"),
        serde_json::json!({"alg": "EdDSA", "kid": "k1", "tid": "0af7651916cd43dd", "typ": "hopseal"}),
    );
}

#[test]
fn one_verdict_for_each_way_of_being_wrong() {
    let with = |header: &str| {
        let seal = sealed(&sent());
        let (_, signature) = seal.split_once("..").expect("detached");
        format!("{}..{signature}", BASE64URL.encode(header))
    };
    let good = sealed(&sent());
    for (name, seal, fault) in [
        ("nothing", String::new(), SealFault::Malformed),
        ("one dot", good.replace("..", "."), SealFault::Malformed),
        ("a payload in it", good.replace("..", ".e30."), SealFault::Malformed),
        ("padded", format!("{good}="), SealFault::Malformed),
        ("a short signature", good.get(..good.len() - 1).expect("ASCII").to_owned(), SealFault::Malformed),
        (
            "another order",
            with(r#"{"kid":"k1","alg":"EdDSA","tid":"0af7651916cd43dd","typ":"hopseal"}"#),
            SealFault::Malformed,
        ),
        (
            "a space",
            with(r#"{"alg":"EdDSA", "kid":"k1","tid":"0af7651916cd43dd","typ":"hopseal"}"#),
            SealFault::Malformed,
        ),
        (
            "another type",
            with(r#"{"alg":"EdDSA","kid":"k1","tid":"0af7651916cd43dd","typ":"JWT"}"#),
            SealFault::Malformed,
        ),
        (
            "crit",
            with(r#"{"alg":"EdDSA","kid":"k1","tid":"0af7651916cd43dd","typ":"hopseal","crit":[]}"#),
            SealFault::Malformed,
        ),
        (
            "upper-case trace",
            with(r#"{"alg":"EdDSA","kid":"k1","tid":"0AF7651916CD43DD","typ":"hopseal"}"#),
            SealFault::Malformed,
        ),
        (
            "no algorithm",
            with(r#"{"alg":"none","kid":"k1","tid":"0af7651916cd43dd","typ":"hopseal"}"#),
            SealFault::Algorithm,
        ),
        (
            "an algorithm for tokens",
            with(r#"{"alg":"RS256","kid":"k1","tid":"0af7651916cd43dd","typ":"hopseal"}"#),
            SealFault::Algorithm,
        ),
        (
            "relabelled, its signature as it was",
            with(r#"{"alg":"HS256","kid":"k1","tid":"0af7651916cd43dd","typ":"hopseal"}"#),
            SealFault::Malformed,
        ),
        ("relabelled, another trace", tagged("k1", "0af7651916cd43de"), SealFault::Trace),
        ("relabelled", tagged("k1", "0af7651916cd43dd"), SealFault::Algorithm),
        ("a secret that nobody shares", tagged("k2", "0af7651916cd43dd"), SealFault::UnknownKey),
        (
            "a tag in place of a signature",
            tagged("k1", "0af7651916cd43dd")
                .replace(&BASE64URL.encode(r#"{"alg":"HS256""#), "eyJhbGciOiJFZERTQSI"),
            SealFault::Malformed,
        ),
        (
            "a key nobody has",
            with(r#"{"alg":"EdDSA","kid":"k2","tid":"0af7651916cd43dd","typ":"hopseal"}"#),
            SealFault::UnknownKey,
        ),
        (
            "another trace",
            with(r#"{"alg":"EdDSA","kid":"k1","tid":"0af7651916cd43de","typ":"hopseal"}"#),
            SealFault::Trace,
        ),
    ] {
        assert_eq!(verdict(&sent(), &seal), Verdict::Broken(fault), "{name}");
    }
    assert_eq!(verdict(&sent(), &good), valid());
}

/// A seal by HMAC whose secret is the public key, the oldest trick.
fn tagged(kid: &str, tid: &str) -> String {
    let header =
        BASE64URL.encode(format!(r#"{{"alg":"HS256","kid":"{kid}","tid":"{tid}","typ":"hopseal"}}"#));
    let (sent, x) =
        (sent(), BASE64URL.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url"));
    let input = signing_input(&header, &binding(DOMAIN, TRACE), &members(&sent));
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &x);
    format!("{header}..{}", BASE64URL.encode(aws_lc_rs::hmac::sign(&secret, input.as_bytes())))
}

/// What a key set that knows of the secret says of it: nothing that it does not say itself.
#[test]
fn a_shared_secret_proves_nothing() {
    let seal = tagged("group", "0af7651916cd43dd");
    let (keys, skipped) = KeySet::from_jwks(br#"{"keys":[{"kty":"oct","kid":"group"}]}"#).expect("a set");
    assert_eq!(skipped, []);
    let verdict = |sent: &Sent, seal: &str, at| {
        check(&keys, &binding(DOMAIN, TRACE), &members(sent), seal, Clock { at, leeway: 5 })
    };
    assert_eq!(verdict(&sent(), &seal, NOW.at), Verdict::Symmetric);
    assert_eq!(trace_prefix(&seal), TRACE.first_chunk().copied());
    assert_eq!(verdict(&sent(), &seal, NOW.at + 300), Verdict::Broken(SealFault::Expired));
    let part: Sent = sent().into_iter().filter(|(name, _)| *name != SUB).collect();
    assert_eq!(verdict(&part, &seal, NOW.at), Verdict::Broken(SealFault::Incomplete));
    let public = sealed(&sent()).replace(
        &BASE64URL.encode(r#"{"alg":"EdDSA","kid":"k1","tid":"0af7651916cd43dd","typ":"hopseal"}"#),
        &BASE64URL.encode(r#"{"alg":"EdDSA","kid":"group","tid":"0af7651916cd43dd","typ":"hopseal"}"#),
    );
    assert_eq!(verdict(&sent(), &public, NOW.at), Verdict::Broken(SealFault::Algorithm));
}

#[test]
fn holds_in_its_trace_and_trust_domain_and_time_alone() {
    let (sent, seal) = (sent(), sealed(&sent()));
    let (members, own) = (members(&sent), key(PRIVATE));
    let mut same_prefix = TRACE;
    same_prefix[15] ^= 1;
    let at = |at| Clock { at, leeway: 5 };
    for (name, key, domain, trace_id, clock, expected) in [
        ("as made", PRIVATE, DOMAIN, TRACE, NOW, valid()),
        ("another trace", PRIVATE, DOMAIN, [7; 16], NOW, Verdict::Broken(SealFault::Trace)),
        ("one that begins alike", PRIVATE, DOMAIN, same_prefix, NOW, Verdict::Broken(SealFault::Signature)),
        ("another trust domain", PRIVATE, "example.com", TRACE, NOW, Verdict::Broken(SealFault::Signature)),
        ("another key of that name", OTHER, DOMAIN, TRACE, NOW, Verdict::Broken(SealFault::Signature)),
        ("at its end", PRIVATE, DOMAIN, TRACE, at(1_767_225_905), valid()),
        ("past its end", PRIVATE, DOMAIN, TRACE, at(1_767_225_906), Verdict::Broken(SealFault::Expired)),
        ("at its beginning", PRIVATE, DOMAIN, TRACE, at(1_767_225_595), valid()),
        ("before it", PRIVATE, DOMAIN, TRACE, at(1_767_225_594), Verdict::Broken(SealFault::Premature)),
    ] {
        let keys = key_set(&self::key(key));
        assert_eq!(check(&keys, &binding(domain, trace_id), &members, &seal, clock), expected, "{name}");
    }
    assert_eq!(
        check(&KeySet::default(), &binding(DOMAIN, TRACE), &members, &seal, NOW),
        Verdict::Broken(SealFault::UnknownKey)
    );
    assert_eq!(own.kid(), "k1");
}

#[test]
fn members_are_of_the_closed_list_and_clean() {
    for (name, value, legal) in [
        (SUB, "x7Qf", true),
        (SUB, "", false),
        (SUB, "a b", false),
        (SUB, "a%20b", false),
        (SUB, "a,b", false),
        (SUB, "a=b", false),
        (SUB, "a\nhopseal.tenant=b", false),
        (SUB, "\u{e4}", false),
        (SUB, &"x".repeat(64), true),
        (SUB, &"x".repeat(65), false),
        ("hopseal.scopes", "x", false),
        ("sub", "x", false),
    ] {
        assert_eq!(Members::default().set(name, value).is_ok(), legal, "{name}={value}");
    }
    let mut twice = Members::default();
    twice.set(SUB, "a").expect("legal");
    assert_eq!(twice.set(SUB, "a"), Err(SealFault::Malformed));
}

#[test]
fn every_fault_has_its_own_word() {
    for fault in SealFault::ALL {
        assert_eq!(SealFault::parse(fault.as_str()), Some(*fault));
    }
}

/// A legal set of members, optional ones left out or not.
fn any_sent() -> impl Strategy<Value = Sent> {
    let value = || "[A-Za-z0-9._~-]{1,24}";
    let kept = proptest::collection::vec(any::<bool>(), 3);
    (proptest::collection::vec(value(), 6), kept).prop_map(|(values, kept)| {
        let mut sent = sent();
        let edited = [ACT, ISS, KIND, SUB, TENANT, TXN];
        for (name, mut value) in edited.into_iter().zip(values) {
            value.truncate(if name == KIND { 7 } else { 24 });
            if let Some(member) = sent.iter_mut().find(|(member, _)| *member == name) {
                member.1 = value;
            }
        }
        let left_out: Vec<_> = [ACT, TENANT, TXN]
            .into_iter()
            .zip(kept)
            .filter(|(_, kept)| !kept)
            .map(|(name, _)| name)
            .collect();
        sent.retain(|(name, _)| !left_out.contains(name));
        sent
    })
}

proptest! {
    #[test]
    fn what_was_sealed_is_valid(sent in any_sent()) {
        prop_assert_eq!(verdict(&sent, &sealed(&sent)), valid());
    }

    #[test]
    fn any_edit_shows(sent in any_sent(), which in any::<prop::sample::Index>(), value in "[A-Za-z0-9._~-]{1,7}") {
        let seal = sealed(&sent);
        let mut edited = sent.clone();
        let at = which.index(edited.len());
        prop_assume!(edited[at].1 != value);
        edited[at].1 = value;
        prop_assert_eq!(verdict(&edited, &seal), Verdict::Broken(SealFault::Signature));
    }

    #[test]
    fn any_removal_shows(sent in any_sent(), which in any::<prop::sample::Index>()) {
        let seal = sealed(&sent);
        let mut edited = sent.clone();
        let (name, _) = edited.remove(which.index(edited.len()));
        let required = ![ACT, TENANT, TXN].contains(&name);
        let fault = if required { SealFault::Incomplete } else { SealFault::Signature };
        prop_assert_eq!(verdict(&edited, &seal), Verdict::Broken(fault));
    }

    #[test]
    fn any_addition_shows(all in any_sent(), value in "[A-Za-z0-9._~-]{1,24}") {
        let seal = sealed(&all);
        for name in [ACT, TENANT, TXN] {
            if all.iter().any(|(member, _)| *member == name) {
                continue;
            }
            let mut edited = all.clone();
            edited.push((name, value.clone()));
            prop_assert_eq!(verdict(&edited, &seal), Verdict::Broken(SealFault::Signature));
        }
    }

    #[test]
    fn two_values_swapped_show(sent in any_sent()) {
        let seal = sealed(&sent);
        let mut edited = sent.clone();
        let at = |name| edited.iter().position(|(member, _)| *member == name).expect("required");
        let (sub, iss) = (at(SUB), at(ISS));
        prop_assume!(edited[sub].1 != edited[iss].1);
        let kept = edited[sub].1.clone();
        edited[sub].1 = edited[iss].1.clone();
        edited[iss].1 = kept;
        prop_assert_eq!(verdict(&edited, &seal), Verdict::Broken(SealFault::Signature));
    }

    #[test]
    fn any_other_trace_shows(sent in any_sent(), trace_id: [u8; 16]) {
        prop_assume!(trace_id != TRACE);
        let keys = key_set(&key(PRIVATE));
        let verdict = check(&keys, &binding(DOMAIN, trace_id), &members(&sent), &sealed(&sent), NOW);
        let fault = if trace_id[..8] == TRACE[..8] { SealFault::Signature } else { SealFault::Trace };
        prop_assert_eq!(verdict, Verdict::Broken(fault));
    }

    #[test]
    fn any_other_trust_domain_shows(sent in any_sent(), domain in "[a-z0-9._-]{1,40}") {
        prop_assume!(domain != DOMAIN);
        let other = Binding::new(&domain, TRACE).expect("trust domain");
        let verdict = check(&key_set(&key(PRIVATE)), &other, &members(&sent), &sealed(&sent), NOW);
        prop_assert_eq!(verdict, Verdict::Broken(SealFault::Signature));
    }

    #[test]
    fn a_key_of_ones_own_does_not_help(sent in any_sent()) {
        let forged = key(OTHER).seal(&binding(DOMAIN, TRACE), &members(&sent)).expect("seals");
        prop_assert_eq!(verdict(&sent, &forged), Verdict::Broken(SealFault::Signature));
    }

    #[test]
    fn one_byte_flipped_is_never_valid(at in any::<prop::sample::Index>(), mask in 1_u8..128) {
        let sent = sent();
        let mut bytes = sealed(&sent).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        let Ok(seal) = String::from_utf8(bytes) else { return Ok(()) };
        prop_assert_ne!(verdict(&sent, &seal), valid());
    }

    #[test]
    fn whatever_comes_is_answered(seal in "\\PC{0,200}") {
        prop_assert!(matches!(verdict(&sent(), &seal), Verdict::Broken(_)));
    }
}
