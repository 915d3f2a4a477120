use std::time::Duration;

use super::*;
use crate::{Algorithm, Credential, Secret};

const GOOD: &str = "
issuers:
  - name: staff
    kind: oidc
    issuer: https://id.example.com
    audiences: [orders]
    algorithms: [RS256, ES256]
    tokens: [access_token, id_token]
    typ: [at+jwt, JWT]
    max_lifetime: 15m
    skew: 5s
    claims: {id: oid, tenant: tid, roles: realm_access.roles}
  - {name: partners, kind: oauth2, issuer: 'https://as.example/t1', audiences: [orders], algorithms: [PS256]}
  - {name: keys, kind: jwks, issuer: legacy, jwks_uri: 'https://a.example/jwks', audiences: [o], algorithms: [ES384]}
  - {name: local, kind: static, issuer: dev, jwks: '{\"keys\":[]}', audiences: [o], algorithms: [HS256]}
  - {name: paseto, kind: paseto, issuer: p.example, paserk: [k4.public.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA], audiences: [o]}
  - name: opaque
    kind: introspection
    issuer: https://op.example
    endpoint: https://op.example/introspect
    client_id: orders
    client_secret: hunter2
    audiences: [orders]
  - {name: mesh, kind: spiffe, issuer: prod.example, jwks: '{}', audiences: [orders], algorithms: [ES256]}
  - {name: txn, kind: txn_token, issuer: prod.example, jwks_uri: 'https://tts.example/k', algorithms: [ES256]}
  - {name: seals, kind: seal, issuer: prod.example, jwks: '{}'}
";

#[test]
fn every_kind_is_read_and_defaults_are_filled_in() {
    let registry = Registry::from_yaml(GOOD).expect("good");
    let names: Vec<&str> = registry.issuers().iter().map(Issuer::name).collect();
    assert_eq!(names, ["staff", "partners", "keys", "local", "paseto", "opaque", "mesh", "txn", "seals"]);

    let staff = registry.issuer("staff").expect("there");
    assert_eq!((staff.kind(), staff.id()), (IssuerKind::Oidc, "https://id.example.com"));
    assert_eq!((staff.max_lifetime(), staff.skew()), (900, 5));
    assert_eq!(staff.types(), ["at+jwt", "jwt"]);
    assert!(staff.accepts(Credential::AccessToken) && staff.accepts(Credential::IdToken));
    assert_eq!(staff.claims().id, "oid");
    assert_eq!(staff.claims().session, "sid");

    let partners = registry.issuer("partners").expect("there");
    assert_eq!(*partners.source(), Source::OAuthMetadata);
    assert_eq!((partners.max_lifetime(), partners.skew()), (86_400, 60));
    assert_eq!(partners.types(), ["at+jwt"]);
    assert!(!partners.accepts(Credential::IdToken));
    assert!(registry.issuer("mesh").expect("there").accepts(Credential::JwtSvid));
    assert!(registry.issuer("txn").expect("there").accepts(Credential::TxnToken));
    assert!(registry.issuer("nobody").is_none());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    // In the first entry `before` is replaced by `after`.
    for (before, after, expected) in [
        ("kind: oidc", "kind: oidcc", "line 4, column 11: unknown variant `oidcc`"),
        ("kind: oidc", "kind: oidc\n    kind: oidc", "line 5, column 5: duplicate mapping key"),
        ("issuer: https", "issuers: https", "line 5, column 5: unknown field `issuers`"),
        ("skew: 5s", "skew: 5", "line 11, column 11: issuer `staff`: `skew`: `5` is no time"),
        ("skew: 5s", "skew: 301s", "line 11, column 11: issuer `staff`: `skew`: at most 300 seconds"),
        ("skew: 5s", "skew: +5s", "line 11, column 11: issuer `staff`: `skew`: `+5s` is no time"),
        ("15m", "99999999999999999h", "line 10, column 19: issuer `staff`: `max_lifetime`: `9999"),
        ("15m", "0s", "line 10, column 19: issuer `staff`: `max_lifetime`: more than nothing"),
        ("RS256, ES256", "none", "line 7, column 17: issuer `staff`: `algorithms`: `none` is not supported"),
        (
            "RS256, ES256",
            "rs256",
            "line 7, column 17: issuer `staff`: `algorithms`: `rs256` is not supported",
        ),
        ("RS256, ES256", "", "line 7, column 17: issuer `staff`: `algorithms`: at least one"),
        ("RS256, ES256", "RS256, HS256", "line 7, column 17: issuer `staff`: `algorithms`: HMAC is for"),
        ("[orders]", "[]", "line 6, column 16: issuer `staff`: `audiences`: at least one"),
        ("[orders]", "['']", "line 6, column 16: issuer `staff`: `audiences`: an empty text"),
        ("name: staff", "name: a b", "line 3, column 11: issuer `a b`: `name`: 1 to 32 letters"),
        ("https://id", "http://id", "line 5, column 13: issuer `staff`: `issuer`: plain `http`"),
        ("https://id", "ftp://id", "line 5, column 13: issuer `staff`: `issuer`: an address that begins"),
        ("https://id", "https://a@id", "line 5, column 13: issuer `staff`: `issuer`: no usable address"),
        ("at+jwt, JWT", "at+jwt, logout+jwt", "line 9, column 10: issuer `staff`: `typ`: one or both"),
        ("skew: 5s", "jwks: '{}'", "line 11, column 11: issuer `staff`: `jwks`: not for this kind"),
        ("[access_token, id_token]", "[]", "line 8, column 13: issuer `staff`: `tokens`: credentials"),
        ("name: partners", "name: staff", "line 13, column 12: issuer `staff`: `name`: another issuer has"),
        (
            "https://as.example/t1",
            "https://id.example.com",
            "line 13, column 44: issuer `partners`: `issuer`: another issuer of this id",
        ),
    ] {
        let text = GOOD.replacen(before, after, 1);
        assert_ne!(text, GOOD, "{before}");
        let error = Registry::from_yaml(&text).expect_err(after).to_string();
        assert!(error.starts_with(expected), "{after}:\n  {error}\n  {expected}");
    }
}

#[test]
fn entries_from_code_are_held_to_the_same() {
    let builder = |kind, id: &str| IssuerBuilder::new(kind, "a", id).audiences(["o"]);
    let rs256 = [Algorithm::Rs256];
    for (name, builder, expected) in [
        ("good", builder(IssuerKind::Oidc, "https://a.example").algorithms(rs256), None),
        (
            "this machine",
            builder(IssuerKind::Oidc, "http://127.0.0.1:8080").algorithms(rs256).loopback_http(),
            None,
        ),
        (
            "this machine, in IPv6",
            builder(IssuerKind::Oidc, "http://[::1]:8080/a").algorithms(rs256).loopback_http(),
            None,
        ),
        (
            "this machine, not allowed",
            builder(IssuerKind::Oidc, "http://127.0.0.1:8080").algorithms(rs256),
            Some("issuer"),
        ),
        (
            "a name that could be any machine's",
            builder(IssuerKind::Oidc, "http://localhost:8080").algorithms(rs256).loopback_http(),
            Some("issuer"),
        ),
        (
            "an address that looks like this machine",
            builder(IssuerKind::Oidc, "http://127.0.0.1.example").algorithms(rs256).loopback_http(),
            Some("issuer"),
        ),
        (
            "an address that begins like this machine",
            builder(IssuerKind::Oidc, "http://[::1].evil.example").algorithms(rs256).loopback_http(),
            Some("issuer"),
        ),
        ("no host", builder(IssuerKind::Oidc, "https://:443/").algorithms(rs256), Some("issuer")),
        ("no port", builder(IssuerKind::Oidc, "https://a.example:/").algorithms(rs256), Some("issuer")),
        (
            "no such port",
            builder(IssuerKind::Oidc, "https://a.example:65536/").algorithms(rs256),
            Some("issuer"),
        ),
        ("two ports", builder(IssuerKind::Oidc, "https://a.example:1:2/").algorithms(rs256), Some("issuer")),
        (
            "no address in brackets",
            builder(IssuerKind::Oidc, "https://[::g]/").algorithms(rs256),
            Some("issuer"),
        ),
        ("a query", builder(IssuerKind::Oidc, "https://a.example/?x=1").algorithms(rs256), Some("issuer")),
        (
            "a query where there may be one",
            builder(IssuerKind::Jwks, "a").jwks_uri("https://a.example/?x=1").algorithms(rs256),
            None,
        ),
        (
            "a query and no host",
            builder(IssuerKind::Jwks, "a").jwks_uri("https://:443/?x=1").algorithms(rs256),
            Some("jwks_uri"),
        ),
        ("empty keys", builder(IssuerKind::Static, "a").jwks(" ").algorithms(rs256), Some("jwks")),
        ("no keys", builder(IssuerKind::Static, "a").algorithms(rs256), Some("jwks")),
        ("no address", builder(IssuerKind::Jwks, "a").algorithms(rs256), Some("jwks_uri")),
        ("a socket", builder(IssuerKind::Spiffe, "a").workload_api("unix:///a/b").algorithms(rs256), None),
        (
            "another machine",
            builder(IssuerKind::Spiffe, "a").workload_api("tcp://127.0.0.1:1").algorithms(rs256),
            Some("workload_api"),
        ),
        (
            "two places",
            builder(IssuerKind::Spiffe, "a").workload_api("unix:///a/b").jwks("{}").algorithms(rs256),
            Some("workload_api"),
        ),
        (
            "a socket of no trust domain",
            builder(IssuerKind::Jwks, "a").workload_api("unix:///a/b").algorithms(rs256),
            Some("workload_api"),
        ),
        (
            "HMAC beside RSA",
            builder(IssuerKind::Static, "a").jwks("{}").algorithms([Algorithm::Rs256, Algorithm::Hs256]),
            Some("algorithms"),
        ),
        ("a trust domain in capitals", builder(IssuerKind::Spiffe, "Prod").algorithms(rs256), Some("issuer")),
        ("PASETO with algorithms", builder(IssuerKind::Paseto, "a").algorithms(rs256), Some("algorithms")),
        ("a PASETO secret key", builder(IssuerKind::Paseto, "a").paserk(["k4.secret.AA"]), Some("paserk")),
        ("a PASERK cut short", builder(IssuerKind::Paseto, "a").paserk(["k4.public.AAAA"]), Some("paserk")),
        (
            "a PASERK that is not canonical",
            builder(IssuerKind::Paseto, "a").paserk([format!("k4.local.{}B", "A".repeat(42))]),
            Some("paserk"),
        ),
        ("a Txn-Token's audience", builder(IssuerKind::TxnToken, "a").algorithms(rs256), Some("audiences")),
        (
            "an ID token from a mesh",
            builder(IssuerKind::Spiffe, "a").algorithms(rs256).tokens([Credential::IdToken]),
            Some("tokens"),
        ),
        ("introspection without a client", builder(IssuerKind::Introspection, "a"), Some("endpoint")),
    ] {
        let error = Registry::new([builder]).err();
        let field = error.map(|error| match error {
            RegistryError::Value { at: None, field, .. } => field,
            other => panic!("{name}: {other}"),
        });
        assert_eq!(field, expected, "{name}");
    }
}

#[test]
fn the_version_follows_what_matters_secrets_too() {
    let of = |secret: &str, skew| {
        let issuer = IssuerBuilder::new(IssuerKind::Introspection, "a", "b")
            .introspection("https://c.example", "d", Secret::new(secret))
            .audiences(["e"])
            .skew(skew);
        let registry = Registry::new([issuer]).expect("good");
        assert!(!format!("{registry:?}").contains("hunter"), "{registry:?}");
        registry.version().to_owned()
    };
    assert_eq!(of("hunter2", 1), of("hunter2", 1));
    assert_ne!(of("hunter2", 1), of("hunter3", 1));
    assert_ne!(of("hunter2", 1), of("hunter2", 2));
    assert_eq!(of("hunter2", 1).len(), 16);
}

const POLICY: &str = "
keys: {soft_age: 5m, soft_age_most: 10m, max_stale: 30m, unknown_kid_burst: 3, unknown_kid_when_down: refuse, wait: 2s, refresh: {inline: 1s}}
introspection: {ttl: 10s, capacity: 500, patience: 3}
issuers:
  - name: staff
    kind: oidc
    issuer: https://id.example.com
    audiences: [orders]
    algorithms: [RS256]
    feed: {audiences: [https://orders.example/events], speaks_for: [partners], quiet: 10m}
  - {name: partners, kind: oauth2, issuer: 'https://as.example', audiences: [orders], algorithms: [PS256]}
  - name: seals
    kind: seal
    issuer: prod.example
    jwks: '{}'
    sealers:
      - {name: gateway, workload: spiffe://prod.example/gateway, issuers: [staff, partners], tenants: [acme], kinds: [user]}
      - {name: worker, workload: spiffe://prod.example/worker, reseals: {max_count: 2, max_age: 2h, max_wait: 1h}}
";

#[test]
fn the_policy_is_read_and_what_is_left_out_is_left_to_its_default() {
    let registry = Registry::from_yaml(POLICY).expect("good");
    let (keys, asking) = (registry.key_numbers(), registry.introspection_numbers());
    assert_eq!((keys.soft_age, keys.max_stale, keys.retry_most), (Some(300), Some(1800), None));
    assert_eq!(
        (keys.unknown_kid_when_down, keys.refresh),
        (Some(WhenDown::Refuse), Some(Refresh::Inline(Duration::from_secs(1))),)
    );
    assert_eq!((asking.ttl, asking.capacity, asking.pause), (Some(10), Some(500), None));
    let feed = registry.issuer("staff").expect("there").feed().expect("a feed");
    assert_eq!((feed.speaks_for.as_slice(), feed.quiet), (&["partners".to_owned()][..], Some(600)));
    let sealers = registry.issuer("seals").expect("there").sealers();
    assert_eq!(
        (sealers[0].kinds.as_deref(), sealers[1].kinds.as_deref()),
        (Some(&[crate::Kind::User][..]), None)
    );
    assert_eq!(sealers[1].reseals.and_then(|bounds| bounds.max_age), Some(7200));
}

#[test]
fn each_of_the_policy_changes_the_version() {
    let version = |text: &str| Registry::from_yaml(text).expect("good").version().to_owned();
    for (before, after) in [
        ("5m", "6m"),
        ("10s", "11s"),
        ("[acme]", "[acmf]"),
        ("max_count: 2", "max_count: 3"),
        ("quiet: 10m", "quiet: 9m"),
    ] {
        assert_ne!(version(POLICY), version(&POLICY.replacen(before, after, 1)), "{after}");
    }
    assert_eq!(version(POLICY), version(&format!("# more\n{POLICY}")));
}

#[test]
fn what_is_wrong_with_the_policy_is_said() {
    for (before, after, expected) in [
        ("soft_age: 5m", "soft_age: 5", "line 2, column 18: `5` is no time"),
        ("soft_age: 5m", "soft: 5m", "line 2, column 8: unknown field `soft`"),
        ("capacity: 500", "capacity: many", "line 3, column 37: invalid"),
        ("kinds: [user]", "kinds: [robot]", "line 17, column 118: `robot` is none of"),
        ("[https://orders.example/events]", "[]", "line 10, column 11: issuer `staff`: `feed`: at least one"),
        (
            "speaks_for: [partners]",
            "speaks_for: [nobody]",
            "line 5, column 11: issuer `staff`: `feed`: `nobody` is no issuer",
        ),
        (
            "issuers: [staff, partners]",
            "issuers: [seals]",
            "line 12, column 11: issuer `seals`: `sealers`: `seals` is no issuer",
        ),
        (
            "issuers: [staff, partners], ",
            "",
            "line 17, column 7: issuer `seals`: `sealers`: `gateway`: `tenants` and",
        ),
        (
            ", reseals: {max_count: 2, max_age: 2h, max_wait: 1h}",
            "",
            "line 17, column 7: issuer `seals`: `sealers`: `worker` may do nothing",
        ),
        (
            "name: worker",
            "name: gateway",
            "line 17, column 7: issuer `seals`: `sealers`: `gateway` stands there twice",
        ),
        ("name: worker", "name: a.b", "line 17, column 7: issuer `seals`: `sealers`: `a.b`: 1 to 32"),
    ] {
        let text = POLICY.replacen(before, after, 1);
        assert_ne!(text, POLICY, "{before}");
        let error = Registry::from_yaml(&text).expect_err(after).to_string();
        assert!(error.starts_with(expected), "{after}:\n  {error}\n  {expected}");
    }
    for (kind, rest) in [
        ("seal", "issuer: a, jwks: '{}', feed: {audiences: [a]}"),
        (
            "oidc",
            "issuer: 'https://a.example', audiences: [a], algorithms: [RS256], sealers: [{name: a, workload: b, reseals: {}}]",
        ),
    ] {
        let error =
            Registry::from_yaml(&format!("issuers: [{{name: a, kind: {kind}, {rest}}}]")).expect_err(kind);
        assert!(error.to_string().contains("not for this kind"), "{error}");
    }
}

/// A file that cannot be used changes nothing, is told once, and does not hide the next good one.
#[test]
fn a_file_is_read_again_when_it_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("registry.yaml");
    let write = |text: &str| std::fs::write(&path, text).expect("written");
    write(POLICY);
    let (mut file, first) = RegistryFile::open(&path).expect("good");
    assert!(matches!(file.changed(), Ok(None)));
    write(&format!("# the same\n{POLICY}"));
    assert!(matches!(file.changed(), Ok(None)), "another text, the same registry");
    write("issuers: [");
    assert!(matches!(file.changed(), Err(RegistryFileError::Registry { .. })));
    assert!(matches!(file.changed(), Ok(None)), "told once");
    write(POLICY);
    assert!(matches!(file.changed(), Ok(None)), "back to what is in force");
    write(&POLICY.replacen("5m", "6m", 1));
    let next = file.changed().expect("good").expect("another");
    assert_ne!(next.version(), first.version());
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(file.changed(), Err(RegistryFileError::Read { .. })));
    write(&"#".repeat(1024 * 1024 + 1));
    assert!(matches!(file.changed(), Err(RegistryFileError::TooLong(_))));
}

/// Keys and secrets in files of their own, as a sidecar that renews them writes them.
#[test]
fn files_beside_the_registry_are_read_and_looked_at_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let text = "
issuers:
  - {name: mesh, kind: spiffe, issuer: prod.example, jwks_file: bundle.json, audiences: [orders], algorithms: [ES256]}
  - {name: paseto, kind: paseto, issuer: p.example, paserk_file: keys, audiences: [o]}
  - {name: op, kind: introspection, issuer: o, endpoint: 'https://o.example/', client_id: a, client_secret_file: secret, audiences: [o]}
";
    write("registry.yaml", text);
    let open = || RegistryFile::open(folder.path().join("registry.yaml"));
    let missing = open().expect_err("no bundle").to_string();
    assert!(
        missing.contains("line 3") && missing.contains("`jwks_file`: `bundle.json` cannot be read"),
        "{missing}"
    );
    write("bundle.json", r#"{"keys":[]}"#);
    write("keys", "k4.public.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    write("secret", "hunter2\n");
    let (mut file, first) = open().expect("good");
    let source =
        |registry: &Registry, name: &str| registry.issuer(name).map(|issuer| issuer.source().clone());
    assert_eq!(source(&first, "mesh"), Some(Source::Jwks(Secret::new(r#"{"keys":[]}"#))));
    let Some(Source::Introspection { client_secret, .. }) = source(&first, "op") else { panic!("{first:?}") };
    assert_eq!(client_secret.expose(), "hunter2");
    assert!(matches!(file.changed(), Ok(None)));
    write("bundle.json", r#"{"keys":[], "spiffe_sequence": 2}"#);
    let next = file.changed().expect("good").expect("another");
    assert_ne!(next.version(), first.version());
    assert!(matches!(file.changed(), Ok(None)));
    std::fs::remove_file(folder.path().join("secret")).expect("removed");
    assert!(matches!(file.changed(), Err(RegistryFileError::Registry { .. })));
    assert!(matches!(file.changed(), Ok(None)), "told once");
    write("secret", "other");
    assert!(matches!(file.changed(), Ok(Some(_))));
    write("keys", "k4.public.no");
    let fault = file.changed().expect_err("no key").to_string();
    assert!(fault.contains("line 4") && fault.contains("`paserk`: at least one key"), "{fault}");
    write("keys", "k4.public.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    write("registry.yaml", &text.replace("client_secret_file", "client_secret: x, client_secret_file"));
    let both = file.changed().expect_err("both").to_string();
    assert!(both.contains("`client_secret_file`: either that or `client_secret`"), "{both}");
    // What is only text opens nothing.
    assert!(
        Registry::from_yaml(text).expect_err("no files").to_string().contains("`jwks_file`: files are for")
    );
}

/// What the reader knows: the words of its answer to one that it does not know.
#[cfg(feature = "jwt")]
fn known(yaml: &str) -> Vec<String> {
    let error = Registry::from_yaml(yaml).expect_err(yaml).to_string();
    let (_, expected) = error.split_once("expected one of ").expect(&error);
    let mut words: Vec<String> = expected.split(", ").map(|word| word.trim_matches('`').to_owned()).collect();
    words.sort();
    words
}

/// Editors and pipelines check files by the schema: it knows what the reader knows, at every level, and nothing else.
#[cfg(feature = "jwt")]
#[test]
fn the_schema_is_that_of_the_reader() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("schema.json")).expect("JSON");
    let properties = |pointer: &str| {
        let found = schema.pointer(pointer).and_then(|it| it.get("properties")).and_then(|it| it.as_object());
        let mut names: Vec<String> = found.expect(pointer).keys().cloned().collect();
        names.sort();
        names
    };
    let words = |pointer: &str| {
        let found = schema.pointer(pointer).and_then(|it| it.as_array()).expect(pointer);
        let mut words: Vec<String> = found.iter().filter_map(|it| it.as_str()).map(str::to_owned).collect();
        words.sort();
        words
    };
    for (pointer, yaml) in [
        ("", "zzz: 1"),
        ("/$defs/keys", "keys: {zzz: 1}"),
        ("/$defs/introspection", "introspection: {zzz: 1}"),
        ("/$defs/issuer", "issuers: [{zzz: 1}]"),
        ("/$defs/claims", "issuers: [{claims: {zzz: 1}}]"),
        ("/$defs/feed", "issuers: [{feed: {zzz: 1}}]"),
        ("/$defs/sealer", "issuers: [{sealers: [{zzz: 1}]}]"),
        ("/$defs/sealer/properties/reseals", "issuers: [{sealers: [{reseals: {zzz: 1}}]}]"),
    ] {
        assert_eq!(properties(pointer), known(yaml), "{pointer}");
    }
    for (pointer, yaml) in [
        ("/$defs/issuer/properties/kind/enum", "issuers: [{kind: zzz}]"),
        ("/$defs/issuer/properties/tokens/items/enum", "issuers: [{tokens: [zzz]}]"),
        ("/$defs/keys/properties/unknown_kid_when_down/enum", "keys: {unknown_kid_when_down: zzz}"),
    ] {
        assert_eq!(words(pointer), known(yaml), "{pointer}");
    }
    assert_eq!(known("keys: {refresh: zzz}"), ["background", "inline"]);
}
