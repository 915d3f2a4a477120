use super::*;

fn policy(yaml: &str) -> Policy {
    PolicyFile::parse(yaml).and_then(|file| file.resolve()).expect("a policy")
}

fn service(name: &str) -> Service<'_> {
    Service { name, ..Service::default() }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_write() {
    for (yaml, expected) in [
        ("publc: []", "line 1, column 1: there is no key `publc`; did you mean `public`?"),
        (
            "public:\n  - path: /a",
            "line 2, column 5: there is no key `path`; there are `service`, `routes`, `reason`, `expires`",
        ),
        (
            "rules:\n  identity_droped: {enabled: false}",
            "line 2, column 3: there is no value `identity_droped`; did you mean `identity_dropped`?",
        ),
        (
            "rules: {identity_dropped: {severity: hihg}}",
            "line 1, column 38: there is no value `hihg`; did you mean `high`?",
        ),
        ("public:\n  - routes: [products]", "line 2, column 14: `products`: a path begins with `/`"),
        (
            "public:\n  - routes: [/a]\n    expires: 2026-02-30",
            "line 3, column 14: `2026-02-30`: no date; write a day such as `2026-12-31`",
        ),
        ("service_principals:\n  - {client: a, service: b}", "line 2, column 17: missing field `expires`"),
        (
            "thresholds: {skew: 60}",
            "line 1, column 20: `60`: no length of time; write `500ms`, `60s`, `5m`, `1h` or `7d`",
        ),
        ("thresholds: {coverage_drop: 2.0}", "line 1, column 29: `2`: a share lies between 0 and 1"),
        (
            "trusted_proxies:\n  - attributes: [a]",
            "line 2, column 5: `trusted_proxies`: say whose spans are trusted: `service`, `component` or `node`",
        ),
        (
            "destinations: {internal: [10.0.0.0/99]}",
            "line 1, column 27: `10.0.0.0/99`: no network; write an address and the bits that count, such as `10.0.0.0/8`",
        ),
        (
            "tenants: {spelled: [{of: database, name: app}]}",
            "line 1, column 42: `app`: write `{tenant}` where the tenant stands",
        ),
        (
            "workloads: [{service: a, id: sa/a}]",
            "line 1, column 30: `sa/a`: write a SPIFFE ID, `spiffe://trust-domain/path`",
        ),
        (
            "dialects: [{name: ours, keys: {a.b: usr}}]",
            "line 1, column 19: `ours`: dialect `ours`: `a.b` is mapped to `usr`, which is no field",
        ),
        ("public: {", "line 1, column 9: expected a list: `- ..` on lines of their own, or `[..]`"),
        ("rules: [a]", "line 1, column 8: expected keys with values: `key: value`"),
        ("public: [", "line 1, column 9: unclosed bracket '['"),
        ("mesh: [a]\nmesh: [b]", "line 2, column 1: `mesh` stands here a second time; write it once"),
    ] {
        let error = PolicyFile::parse(yaml).and_then(|file| file.resolve()).expect_err(yaml);
        assert_eq!(error.to_string(), expected, "{yaml}");
    }
}

#[test]
fn nothing_written_is_the_default() {
    for yaml in ["", "# nothing yet\n\n", "{}", "public: []"] {
        assert_eq!(format!("{:?}", policy(yaml)), format!("{:?}", Policy::default()), "{yaml:?}");
    }
}

#[test]
fn rules_and_thresholds() {
    let policy = policy(
        "rules:\n  identity_dropped: {severity: medium}\n  never_established: {enabled: false}\n\
         thresholds: {skew: 5s, max_actors: 2, min_requests: 9, window: 1d, coverage_drop: 0.5}",
    );
    assert_eq!(policy.severity(Rule::IdentityDropped, Severity::High), Severity::Medium);
    assert_eq!(policy.severity(Rule::NeverEstablished, Severity::Low), Severity::Low);
    assert!(policy.is_off(Rule::NeverEstablished) && !policy.is_off(Rule::IdentityDropped));
    let expected = Thresholds {
        skew: 5_000_000_000,
        max_actors: 2,
        min_requests: 9,
        window: 86_400_000_000_000,
        coverage_drop: 0.5,
    };
    assert_eq!(policy.thresholds, expected);
}

#[test]
fn clients_by_edge_and_day() {
    let policy = policy(
        "service_principals:\n  - {client: nightly-*, caller: scheduler, service: billing, expires: 2026-01-01}\n  \
         - {client: batch, service: billing, expires: 2030-01-01}",
    );
    let (new_year, later) = (1_767_225_600_000_000_000, 1_767_400_000_000_000_000);
    let until = |text: &str| Date::parse(text).expect("a date");
    for (client, caller, at, expected) in [
        ("nightly-export", Some("scheduler"), new_year, Allowance::Holds(Some(until("2026-01-01")))),
        ("nightly-export", Some("scheduler"), later, Allowance::Expired(until("2026-01-01"))),
        ("nightly-export", Some("web"), new_year, Allowance::None),
        ("nightly-export", None, new_year, Allowance::None),
        ("batch", None, later, Allowance::Holds(Some(until("2030-01-01")))),
        ("other", Some("scheduler"), new_year, Allowance::None),
    ] {
        let found = policy.client(client, caller.map(service), service("billing"), at);
        assert_eq!(found, expected, "{client} {caller:?}");
    }
}

#[test]
fn the_rest_of_what_can_be_declared() {
    let policy = policy(include_str!("example.yaml"));
    let orders = service("orders");
    assert!(policy.is_shared_tenant("platform") && !policy.is_shared_tenant("acme"));
    assert_eq!(policy.tenant_of(Field::DbNamespace, "tenant_acme"), Some("acme"));
    assert_eq!(policy.tenant_of(Field::MessagingDestination, "acme.orders"), Some("acme"));
    assert_eq!(policy.tenant_of(Field::DbNamespace, "warehouse"), None);
    assert!(policy.trusts_destination("api.partner.example") && policy.trusts_destination("10.1.2.3"));
    assert!(!policy.trusts_destination("api.stranger.example") && policy.declares_destinations());
    assert_eq!(policy.required_assurance(service("payments"), "POST /charge"), Some(Assurance::Verified));
    assert_eq!(policy.required_assurance(service("payments"), "GET /"), Some(Assurance::Sealed));
    assert_eq!(policy.required_assurance(orders, "GET /"), None);
    assert!(
        policy.is_pseudonymous(orders) && policy.is_in_mesh(orders) && !policy.is_in_mesh(service("web"))
    );
    assert!(policy.introspects(service("legacy")) && !policy.introspects(orders));
    assert_eq!(policy.audiences(orders), Some(&["https://orders.example".to_owned()][..]));
    assert_eq!(policy.audiences(service("web")), None);
    assert!(policy.allows_algorithm("ES256") && !policy.allows_algorithm("RS256"));
    assert!(policy.is_alias("https://login.example", "alice", "alice@example.com"));
    assert!(!policy.is_alias("https://other.example", "alice", "alice@example.com"));
    assert!(policy.is_alias("", "svc-1", "service one") && !policy.is_alias("", "svc-1", "alice"));
    assert!(
        policy.shares_sessions(service("kiosk"), None) && policy.shares_sessions(orders, Some("terminal-7"))
    );
    assert!(!policy.shares_sessions(orders, None));
    assert!(policy.is_autonomous_agent("janitor") && policy.is_agent_owned("clock"));
    assert!(policy.aggregates("metrics.raw") && !policy.aggregates("orders"));
    assert!(policy.is_not_credential("build.token") && !policy.is_not_credential("http.url"));
    assert_eq!(policy.dialects.len(), 1);
}

#[test]
fn without_a_policy_private_names_are_trusted_and_secret_key_algorithms_are_not() {
    let policy = Policy::default();
    assert!(policy.trusts_destination("orders") && !policy.trusts_destination("example.com"));
    assert!(policy.allows_algorithm("EdDSA") && !policy.allows_algorithm("HS256"));
    assert!(!policy.allows_algorithm("none") && !policy.declares_destinations());
}

#[test]
fn only_declared_spans_vouch_and_only_by_their_keys() {
    let policy = policy(
        "trusted_proxies: [{service: orders, component: envoy, attributes: [http.request.header.x-forwarded-user]}]",
    );
    for (words, expected) in [
        ("component=envoy http.request.header.x-forwarded-user=alice", Assurance::Verified),
        ("http.request.header.x-forwarded-user=alice", Assurance::Asserted),
        ("component=envoy user.id=alice", Assurance::Asserted),
    ] {
        crate::testing::with_hops_under(&format!("orders SERVER GET /orders {words}"), &policy, |_, hops| {
            let hop = hops.iter().next().expect("a hop");
            assert_eq!(hop.identity.assurance, expected, "{words}");
        });
    }
}

#[test]
fn openapi_descriptions_make_public_routes() {
    let yaml = "openapi:\n  - {service: shop, file: shop.yaml}\n  - {service: bank, file: bank.yaml}";
    let file = PolicyFile::parse(yaml).expect("a policy");
    assert_eq!(file.openapi_files().collect::<Vec<_>>(), ["shop.yaml", "bank.yaml"]);
    let shop = ("shop.yaml".to_owned(), Ok("paths: {/offers: {get: {security: []}}}".to_owned()));
    let bank = |text: &str| ("bank.yaml".to_owned(), Ok(text.to_owned()));
    let resolve = |bank| file.resolve_with(&BTreeMap::from([shop.clone(), bank]));
    let policy = resolve(bank("paths: {}")).expect("a policy");
    assert!(policy.public(service("shop"), Some("GET"), "/offers", 1).holds());
    assert!(!policy.public(service("shop"), Some("POST"), "/offers", 1).holds());
    assert!(!policy.public(service("bank"), Some("GET"), "/offers", 1).holds());
    for (bank, expected) in [
        (
            bank("3"),
            "line 3, column 27: `bank.yaml` cannot be used as an OpenAPI description: line 1, column 1: expected keys with values: `key: value`",
        ),
        (
            ("bank.yaml".to_owned(), Err("no such file".to_owned())),
            "line 3, column 27: `bank.yaml` cannot be used as an OpenAPI description: no such file",
        ),
    ] {
        assert_eq!(resolve(bank).expect_err("no description").to_string(), expected);
    }
}
