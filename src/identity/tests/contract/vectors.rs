//! Test vectors for other implementations, `vectors/*.json`: made here, checked in the same run as other tests.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hopseal_identity::attribute::{ACT, EXP, IAT, ISS, KIND, RESEALED, SUB, TENANT, TXN};
use hopseal_identity::baggage::{Baggage, Writer};
use hopseal_identity::member::Resealed;
use hopseal_identity::pseudonym::PseudonymKey;
use hopseal_identity::seal::{
    Binding, Clock, KeySet, Members, SealFault, SealingKey, Verdict, check, payload,
};
use hopseal_identity::{Actor, CrossingCount, Kind};
use serde_json::{Map, Value, json};
use sha2::Digest as _;

const DOMAIN: &str = "example.org";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// RFC 8037 appendix A.1.
const K1: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// RFC 8032 section 7.1, test 2.
const K2: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k2","d":"TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}"#;
const IAT_SECONDS: u64 = 1_767_225_600;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

#[test]
#[ignore = "writes the files"]
fn bless() {
    std::fs::create_dir_all(folder()).expect("folder");
    for (name, document) in documents() {
        std::fs::write(folder().join(name), text(&document)).expect(name);
    }
}

#[test]
fn the_files_are_those_of_the_code() {
    for (name, document) in documents() {
        let committed = std::fs::read_to_string(folder().join(name)).expect(name);
        assert!(committed == text(&document), "{name} differs; see the head of `tests/contract/main.rs`");
    }
}

fn text(document: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(document).expect("JSON"))
}

fn documents() -> [(&'static str, Value); 4] {
    [
        ("baggage.json", baggage()),
        ("crossing.json", crossings()),
        ("pseudonym.json", pseudonyms()),
        ("seal.json", seals()),
    ]
}

type Sent = Vec<(&'static str, String)>;

fn sent() -> Sent {
    [
        (ACT, "q83vEjRWeJA.AAAAAAAAAAA"),
        (EXP, "1767225900"),
        (IAT, "1767225600"),
        (ISS, "staff"),
        (KIND, "user"),
        (SUB, "p1.Yx3kQ0m8Zt5r1vBnW2pLdA"),
        (TENANT, "acme"),
        (TXN, "7f3d2c1b0a998877"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn without(name: &str) -> Sent {
    sent().into_iter().filter(|(member, _)| *member != name).collect()
}

fn with(name: &'static str, value: &str) -> Sent {
    let mut sent = without(name);
    sent.push((name, value.to_owned()));
    sent.sort();
    sent
}

fn members(sent: &Sent) -> Members<'_> {
    let mut members = Members::default();
    for (name, value) in sent {
        members.set(name, value).expect("legal member");
    }
    members
}

fn trace_id(hex: &str) -> [u8; 16] {
    u128::from_str_radix(hex, 16).expect("hex").to_be_bytes()
}

fn binding<'a>(domain: &'a str, trace: &str) -> Binding<'a> {
    Binding::new(domain, trace_id(trace)).expect("trust domain")
}

fn key(jwk: &str) -> SealingKey {
    SealingKey::from_jwk(jwk.as_bytes()).expect("key")
}

fn sealed(jwk: &str, sent: &Sent) -> String {
    key(jwk).seal(&binding(DOMAIN, TRACE), &members(sent)).expect("seals")
}

fn jwks() -> Value {
    let keys = [K1, K2].map(|jwk| serde_json::from_str::<Value>(&key(jwk).public_jwk()).expect("JSON"));
    // A group of services shares a secret: that is said, and not which.
    let group = json!({"kty": "oct", "kid": "group", "alg": "HS256", "use": "sig"});
    json!({ "keys": keys.into_iter().chain([group]).collect::<Vec<Value>>() })
}

/// A seal with another protected header, its signature as it was.
fn reheaded(seal: &str, header: &str) -> String {
    let (_, signature) = seal.split_once("..").expect("detached");
    format!("{}..{signature}", BASE64URL.encode(header))
}

fn header(from: &str, to: &str) -> String {
    let header = format!(r#"{{"alg":"EdDSA","kid":"k1","tid":"{:.16}","typ":"hopseal"}}"#, TRACE);
    assert!(header.contains(from), "{from}");
    header.replace(from, to)
}

/// A seal by the key `k1` over members that none of ours seals.
fn by_hand(sent: &Sent) -> String {
    let seed = BASE64URL.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64url");
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed");
    let protected = BASE64URL.encode(header("EdDSA", "EdDSA"));
    let payload = BASE64URL.encode(payload(&binding(DOMAIN, TRACE), &members(sent)));
    let signature = pair.sign(format!("{protected}.{payload}").as_bytes());
    format!("{protected}..{}", BASE64URL.encode(signature))
}

struct Case {
    name: &'static str,
    sent: Sent,
    seal: String,
    domain: &'static str,
    trace: &'static str,
    at: u64,
    /// A fault, or `valid`, or `symmetric`.
    verdict: &'static str,
}

fn cases() -> Vec<Case> {
    let good = sealed(K1, &sent());
    let case = |name, sent: Sent, seal: String, verdict| Case {
        name,
        sent,
        seal,
        domain: DOMAIN,
        trace: TRACE,
        at: IAT_SECONDS + 60,
        verdict,
    };
    let least: Sent = sent().into_iter().filter(|(name, _)| ![ACT, TENANT, TXN].contains(name)).collect();
    let again = with(
        RESEALED,
        &Resealed { count: 1, first: IAT_SECONDS, previous: Resealed::digest(&good) }.to_string(),
    );
    let tag = |kid: &str| {
        let header = header("EdDSA", "HS256").replace("\"k1\"", &format!("\"{kid}\""));
        format!("{}..{}", BASE64URL.encode(header), "A".repeat(43))
    };
    // No key of ours seals such a thing: it is put together here.
    let backwards = with(EXP, "1767225600");
    let mut cases = vec![
        case("every member but one", sent(), good.clone(), "valid"),
        case("the fewest members", least.clone(), sealed(K1, &least), "valid"),
        case("another key", sent(), sealed(K2, &sent()), "valid"),
        case("made from another seal", again.clone(), sealed(K1, &again), "valid"),
        Case {
            at: IAT_SECONDS - 5,
            ..case("at its beginning, by another clock", sent(), good.clone(), "valid")
        },
        Case { at: IAT_SECONDS + 305, ..case("at its end, by another clock", sent(), good.clone(), "valid") },
        case("by a shared secret", sent(), tag("group"), "symmetric"),
        Case {
            at: IAT_SECONDS + 306,
            ..case("by a shared secret, after its end", sent(), tag("group"), "expired")
        },
        case("by a shared secret, a required member removed", without(SUB), tag("group"), "incomplete"),
        case("by a shared secret that nobody has", sent(), tag("k9"), "unknown_key"),
        case("relabelled as by a shared secret", sent(), tag("k1"), "algorithm"),
        case(
            "relabelled as by a shared secret, its signature as it was",
            sent(),
            reheaded(&good, &header("EdDSA", "HS256")),
            "malformed",
        ),
        case(
            "a tag in place of a signature",
            sent(),
            format!("{}..{}", good.split_once("..").expect("detached").0, "A".repeat(43)),
            "malformed",
        ),
        case(
            "a shared secret in place of a key pair",
            sent(),
            reheaded(&good, &header("k1", "group")),
            "algorithm",
        ),
        case("ends when it begins", backwards.clone(), by_hand(&backwards), "malformed"),
        Case { at: IAT_SECONDS - 6, ..case("before its beginning", sent(), good.clone(), "premature") },
        Case { at: IAT_SECONDS + 306, ..case("after its end", sent(), good.clone(), "expired") },
        case("no seal", sent(), String::new(), "malformed"),
        case("one dot", sent(), good.replace("..", "."), "malformed"),
        case("a payload in it", sent(), good.replace("..", ".e30."), "malformed"),
        case(
            "a short signature",
            sent(),
            good.strip_suffix(|_: char| true).expect("some").to_owned(),
            "malformed",
        ),
        case("padding", sent(), format!("{good}="), "malformed"),
        case(
            "another order in the header",
            sent(),
            reheaded(&good, &header(r#""alg":"EdDSA","kid":"k1""#, r#""kid":"k1","alg":"EdDSA""#)),
            "malformed",
        ),
        case("a space in the header", sent(), reheaded(&good, &header(",", ", ")), "malformed"),
        case("an escape in the header", sent(), reheaded(&good, &header("k1", r"\u006b1")), "malformed"),
        case("another type", sent(), reheaded(&good, &header("\"hopseal\"", "\"JWT\"")), "malformed"),
        case(
            "an extension",
            sent(),
            reheaded(&good, &header("\"hopseal\"", r#""hopseal","crit":["exp"]"#)),
            "malformed",
        ),
        case("no algorithm", sent(), reheaded(&good, &header("EdDSA", "none")), "algorithm"),
        case("an algorithm of tokens", sent(), reheaded(&good, &header("EdDSA", "RS256")), "algorithm"),
        Case {
            trace: "4bf92f3577b34da6a3ce929d0e0e4736",
            ..case("moved to another trace", sent(), good.clone(), "trace")
        },
        Case {
            trace: "0af7651916cd43dd8448eb211c80319d",
            ..case("moved to a trace that begins alike", sent(), good.clone(), "signature")
        },
        Case { domain: "example.com", ..case("another trust domain", sent(), good.clone(), "signature") },
        case("a key that nobody has", sent(), reheaded(&good, &header("k1", "k9")), "unknown_key"),
        case(
            "another key under that name",
            sent(),
            reheaded(&sealed(K2, &sent()), &header("k1", "k1")),
            "signature",
        ),
        case("a tenant edited", with(TENANT, "umbrella"), good.clone(), "signature"),
        case("a tenant removed", without(TENANT), good.clone(), "signature"),
        case("a member added", again, good.clone(), "signature"),
        case("lengthened", with(EXP, "1767229500"), good.clone(), "signature"),
    ];
    for name in [SUB, KIND, ISS, IAT, EXP] {
        cases.push(case("a required member removed", without(name), good.clone(), "incomplete"));
    }
    cases
}

fn seals() -> Value {
    let (keys, skipped) = KeySet::from_jwks(jwks().to_string().as_bytes()).expect("keys");
    assert_eq!(skipped, []);
    let leeway = 5;
    let cases: Vec<Value> = cases()
        .into_iter()
        .map(|case| {
            let (binding, members) = (binding(case.domain, case.trace), members(&case.sent));
            let verdict = match check(&keys, &binding, &members, &case.seal, Clock { at: case.at, leeway }) {
                Verdict::Valid { .. } => "valid",
                Verdict::Broken(fault) => fault.as_str(),
                Verdict::Symmetric => "symmetric",
            };
            assert_eq!(verdict, case.verdict, "{}", case.name);
            let sent: Map<String, Value> =
                case.sent.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            let mut written = json!({
                "name": case.name,
                "trust_domain": case.domain,
                "trace_id": case.trace,
                "members": sent,
                "seal": case.seal,
                "at": case.at,
                "verdict": verdict,
            });
            if verdict == "valid" {
                written["payload"] = json!(payload(&binding, &members));
            }
            written
        })
        .collect();
    for fault in SealFault::ALL {
        let seen = cases.iter().any(|case| case["verdict"] == fault.as_str());
        // These are seen beside a seal, not in one.
        let beside = matches!(fault, SealFault::Mismatch | SealFault::Missing | SealFault::Sealer);
        assert_eq!(seen, !beside, "{fault:?}");
    }
    json!({
        "about": "Seals and what is said of each, with these keys and this leeway in seconds. `payload` is what a valid one signs.",
        "version": 1,
        "keys": jwks(),
        "leeway": leeway,
        "cases": cases,
    })
}

fn baggage() -> Value {
    let identity = "hopseal.sub=p1.x7Qf,hopseal.kind=user,hopseal.iss=staff";
    let twice = format!("{identity},hopseal.sub=p1.x7Qf");
    let with = |more: &str| vec![format!("{identity},{more}")];
    let flood = "k=v,".repeat(70);
    let cases: Vec<Value> = [
        ("nothing", vec![], Ok(false)),
        ("members of others", vec!["theme=dark;p=1, tok=YWJj==".to_owned()], Ok(false)),
        ("an identity", vec![identity.to_owned()], Ok(true)),
        ("spaces", vec![identity.replace(',', " ,\t").replace('=', " = ")], Ok(true)),
        ("two headers", vec!["theme=dark".to_owned(), identity.to_owned()], Ok(true)),
        (
            "an identity over two headers",
            identity.split_inclusive(',').map(|part| part.trim_end_matches(',').to_owned()).collect(),
            Ok(true),
        ),
        ("seventy members before it", vec![format!("{flood}{identity}")], Ok(true)),
        ("one fat member before it", vec![format!("pad={},{identity}", "x".repeat(8200))], Ok(true)),
        ("a broken member of others", vec![format!("a b=c,\"=,{identity}")], Ok(true)),
        (
            "a member of ours in the properties of another's",
            vec!["theme=dark;p=x%2Chopseal.sub=m".to_owned()],
            Ok(false),
        ),
        ("one member twice", vec![twice], Err("malformed")),
        (
            "one member in each of two headers",
            vec![identity.to_owned(), "hopseal.sub=p1.x7Qf".to_owned()],
            Err("malformed"),
        ),
        ("a name that is not in the list", with("hopseal.scopes=all"), Err("malformed")),
        ("a name in capitals", with("Hopseal.tenant=acme"), Err("malformed")),
        ("an encoded name", with("hopseal%2Etenant=acme"), Err("malformed")),
        ("a name encoded twice", with("hopseal%252Etenant=acme"), Err("malformed")),
        ("an encoded value", with("hopseal.tenant=%61cme"), Err("malformed")),
        ("no value", with("hopseal.tenant="), Err("malformed")),
        ("no equal sign", with("hopseal.tenant"), Err("malformed")),
        ("properties", with("hopseal.tenant=acme;p=1"), Err("malformed")),
        ("an empty property", with("hopseal.tenant=acme;"), Err("malformed")),
        ("a value that is too long", with(&format!("hopseal.tenant={}", "x".repeat(65))), Err("malformed")),
        ("a kind of nothing", vec![identity.replace("user", "root")], Err("malformed")),
        ("a time with a zero in front", with("hopseal.iat=01767225600"), Err("malformed")),
        ("a counter without a hash", with("hopseal.hop=1"), Err("malformed")),
        ("no issuer", vec![identity.replace(",hopseal.iss=staff", "")], Err("incomplete")),
        ("a counter alone", vec!["hopseal.hop=0.AAAAAAAAAAAAAAAAAAAAAA".to_owned()], Err("incomplete")),
        ("unreadable", vec!["theme=dark,hopseal.enc=c1.AAAA".to_owned()], Ok(false)),
        (
            "unreadable, with its counter",
            vec!["hopseal.hop=0.AAAAAAAAAAAAAAAAAAAAAA,hopseal.enc=c1.AAAA".to_owned()],
            Ok(false),
        ),
        ("readable and not", with("hopseal.enc=c1.AAAA"), Err("malformed")),
        ("unreadable, twice", vec!["hopseal.enc=c1.AAAA,hopseal.enc=c1.AAAA".to_owned()], Err("malformed")),
        ("unreadable, with properties", vec!["hopseal.enc=c1.AAAA;p".to_owned()], Err("malformed")),
        ("unreadable, of no key", vec!["hopseal.enc=AAAA".to_owned()], Err("malformed")),
        ("unreadable and too long", vec![format!("hopseal.enc=c1.{}", "A".repeat(1534))], Err("malformed")),
    ]
    .into_iter()
    .map(|(name, headers, expected)| {
        let read = Baggage::read(headers.iter().map(String::as_str));
        let mut writer = match &read.encrypted {
            None => Writer::new(read.identity.as_ref().ok().and_then(Option::as_ref)),
            Some(encrypted) => Writer::encrypted(encrypted),
        };
        for entry in &read.others {
            writer.pass_on(entry);
        }
        let found = read.identity.as_ref().map(Option::is_some).map_err(|fault| fault.as_str());
        assert_eq!(found, expected, "{name}");
        let mut case = json!({ "name": name, "headers": headers, "passed_on": writer.finish() });
        match read.identity {
            Ok(carried) => {
                case["members"] = carried.map_or(Value::Null, |carried| {
                    carried
                        .iter()
                        .map(|(name, value)| (name.to_owned(), json!(value)))
                        .collect::<Map<_, _>>()
                        .into()
                });
            }
            Err(fault) => case["fault"] = json!(fault.as_str()),
        }
        if let Some(encrypted) = &read.encrypted {
            case["encrypted"] = json!({ "kid": encrypted.kid(), "paseto": encrypted.paseto() });
        }
        case
    })
    .collect();
    json!({
        "about": "Baggage headers, the identity in them or the fault, and the header that is passed on (the counter as it came).",
        "version": 1,
        "cases": cases,
    })
}

fn crossings() -> Value {
    let mut count = CrossingCount::START;
    let mut steps = Vec::new();
    for (workload, exit) in [
        ("spiffe://example.org/gateway", 0x0001_0203_0405_0607_u64),
        ("spiffe://example.org/orders", 0x0809_0a0b_0c0d_0e0f),
        ("payments", u64::MAX),
    ] {
        let before = count.to_string();
        count = count.next(workload, exit.to_be_bytes());
        steps.push(json!({
            "before": before, "workload": workload, "span_id": format!("{exit:016x}"), "after": count.to_string(),
        }));
    }
    let last = CrossingCount { count: u16::MAX, hash: [0; 16] };
    let stays = last.next("payments", [1; 8]);
    assert_eq!(stays.count, u16::MAX);
    steps.push(json!({
        "before": last.to_string(), "workload": "payments", "span_id": "0101010101010101", "after": stays.to_string(),
    }));
    json!({ "about": "The crossing counter before and after a call.", "version": 1, "steps": steps })
}

fn pseudonyms() -> Value {
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let key = PseudonymKey::from_base64url("p1", secret).expect("key");
    let subjects: Vec<Value> = [
        ("https://id.example.com", "alice"),
        ("https://id.example.com", "bob"),
        ("https://id.example.com/", "alice"),
        ("example.org", "spiffe://example.org/orders"),
        ("https://id.example.com", "J\u{fc}rgen"),
    ]
    .into_iter()
    .map(|(issuer, subject)| json!({"issuer": issuer, "subject": subject, "sub": key.of(issuer, subject)}))
    .collect();
    let planner = (Actor { kind: Some(Kind::Agent), id: "planner" }, Some("https://id.example.com"));
    let unknown = (Actor { kind: None, id: "planner" }, None);
    let actor = |(actor, issuer): (Actor<'_>, Option<&str>)| json!({"kind": actor.kind.map(Kind::as_str), "issuer": issuer, "id": actor.id});
    let chains: Vec<Value> = [vec![planner], vec![unknown], vec![planner, unknown], vec![planner; 9]]
        .into_iter()
        .map(|chain| {
            let actors: Vec<Value> = chain.iter().copied().map(actor).collect();
            json!({"actors": actors, "act": key.actors(chain)})
        })
        .collect();
    let fingerprints: Vec<Value> = ["abc", "eyJhbGciOiJub25lIn0.e30."]
        .into_iter()
        .map(|credential| {
            let digest = sha2::Sha256::digest(credential).into();
            json!({"credential": credential, "token_fingerprint": key.fingerprint(&digest)})
        })
        .collect();
    json!({
        "about": "Pseudonyms of subjects, digests of actors and fingerprints of credentials under one key, given in base64url.",
        "version": 1,
        "kid": "p1",
        "key": secret,
        "subjects": subjects,
        "chains": chains,
        "fingerprints": fingerprints,
    })
}
