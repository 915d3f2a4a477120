//! The configuration that is shipped, and configurations that are wrong.

use std::collections::BTreeSet;

use serde_json::Value;

use super::resolve::resolve;
use super::*;
use crate::serve::config::file::ConfigFile;

const SHIPPED: &str = include_str!("../../../../collector-config/hopseal.yaml");

fn read(text: &str) -> Result<Config, String> {
    let file = ConfigFile::parse(text).map_err(|error| error.to_string())?;
    resolve(&file, Path::new("/etc/hopseal")).map_err(|error| error.to_string())
}

/// The paths of keys that a schema knows, and those that stand in a document. What is in lists is not told apart.
fn keys(schema: &Value, of: &Value, at: &str, found: &mut BTreeSet<String>) {
    let of = of["$ref"].as_str().map_or(of, |path| &schema["$defs"][path.trim_start_matches("#/$defs/")]);
    for (key, value) in of["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{at}{key}"));
        keys(schema, value, &format!("{at}{key}."), found);
    }
}

fn written(document: &Value, at: &str, found: &mut BTreeSet<String>) {
    for (key, value) in document.as_object().into_iter().flatten() {
        found.insert(format!("{at}{key}"));
        written(value, &format!("{at}{key}."), found);
    }
}

#[test]
fn the_shipped_configuration_has_every_key_and_no_other_value_than_the_default() {
    let schema = serde_json::to_value(schemars::schema_for!(ConfigFile)).expect("JSON");
    let (mut known, mut shipped) = (BTreeSet::new(), BTreeSet::new());
    keys(&schema, &schema, "", &mut known);
    written(&serde_saphyr::from_str(SHIPPED).expect("YAML"), "", &mut shipped);
    assert_eq!(shipped, known);
    assert_eq!(read(SHIPPED), read(""));
}

#[test]
fn every_key_of_the_shipped_configuration_has_a_comment_before_it() {
    let mut before = "";
    for line in SHIPPED.lines() {
        let key = line.trim_start().split_once(':').is_some_and(|(key, _)| !key.starts_with('#'));
        assert!(!key || before.trim_start().starts_with('#'), "{line}");
        before = line;
    }
}

#[test]
fn the_schema_beside_the_shipped_configuration_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../collector-config/hopseal.schema.json");
    let is_current = std::fs::read_to_string(path).is_ok_and(|text| text == schema());
    assert!(is_current, "run `hopseal serve --schema > collector-config/hopseal.schema.json`");
}

#[test]
fn the_shipped_examples_work() {
    let mut in_use = String::new();
    for line in SHIPPED.lines() {
        match line.strip_prefix('#') {
            Some(example) if example.starts_with("    ") => in_use.push_str(example),
            Some(_) => {}
            None => in_use.push_str(line.trim_end_matches(" null").trim_end_matches(" []")),
        }
        in_use.push('\n');
    }
    let config = read(&in_use).expect("usable");
    assert_eq!(config.judging.policy.as_deref(), Some(Path::new("/etc/hopseal/policy.yaml")));
    assert_eq!(config.alerts.receivers.len(), 2);
    assert_eq!(config.senders.known.len(), 3);
    assert!(config.senders.known.values().all(|id| id.may_speak_for[1].matches("shop-2")));
}

#[test]
fn a_trace_lives_for_as_long_as_it_may_be_open() {
    let life = |text: &str| read(text).expect("usable").keep.window.max_life.as_secs();
    assert_eq!(life("windows: {max_age: 2h}"), 7200);
    assert_eq!(life("windows: {max_life: 1h}"), 3600);
    assert_eq!(life(""), 1800);
}

#[test]
fn without_configuration_it_listens_on_this_machine_alone() {
    let config = read("").expect("usable");
    assert_eq!(config.listen.len(), 5);
    assert!(config.listen.iter().all(|(_, address)| address.ip().is_loopback()));
    // As of OTLP and of Zipkin.
    let ports: Vec<_> = config.listen.iter().map(|(port, address)| (port.label(), address.port())).collect();
    assert_eq!(ports[..3], [("otlp_grpc", 4317), ("otlp_http", 4318), ("zipkin", 9411)]);
}

/// Guarantees: systemd waits longer than the service takes to end.
#[test]
fn the_unit_waits_for_the_end() {
    let unit = include_str!("../../hopseal.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s'));
    let stop: u64 = stop.expect("a time").parse().expect("seconds");
    assert!(Duration::from_secs(stop) > read("").expect("usable").drain);
}

/// Guarantees: the unit's filter lets a thread stand back for others, which it was once killed for.
#[test]
fn the_unit_allows_what_is_called() {
    let unit = include_str!("../../hopseal.service");
    let filters: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    // The last that names a call counts.
    assert_eq!(filters, ["@system-service", "~@privileged @resources", "setpriority"]);
    assert!(unit.lines().any(|line| line == "SystemCallErrorNumber=EPERM"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let tls = "tls: {certificate: a, key: b}\n";
    for (text, said) in [
        ("listne: {}", "line 1, column 1: there is no key `listne`; did you mean `listen`?"),
        (
            "listen: {api: 0.0.0.0:8317}",
            "line 1, column 15: `0.0.0.0:8317`: beyond this machine the API would be for anyone: set `tls` and `access.required`",
        ),
        ("store: {threads: 0}", "line 1, column 18: `0`: write a number from 1 to 64"),
        (
            "listen:\n  otlp_grpc: 4317",
            "line 2, column 14: `4317`: no address to listen at; write `127.0.0.1:4317` or `[::1]:4317`",
        ),
        ("limits: {request: 64MB}", "line 1, column 19: `64MB`: a size is a number of bytes, with K, M or G"),
        ("limits: {request: 0}", "line 1, column 19: `0`: has to be more than nothing"),
        ("limits: {idle: 5 min}", "line 1, column 16: `5 min`: no length of time"),
        ("limits: {drain: 0s}", "line 1, column 17: `0s`: has to be longer than nothing"),
        ("limits: {connections: 0}", "line 1, column 23: `0`: nobody could connect"),
        ("limits: {memory: 100M}", "line 1, column 18: `100M`: `memory` is less than twice `request`"),
        ("tls: {certificate: a}", "`certificate` and `key` go together"),
        ("tls: {key: a}", "`certificate` and `key` go together"),
        ("tls: {client_authorities: a}", "needs `certificate` and `key`"),
        ("tls: {require_client_certificate: true}", "needs `certificate` and `key`"),
        (
            "tls: {certificate: a, key: b, require_client_certificate: true}",
            "line 1, column 59: `true`: needs `client_authorities`",
        ),
        ("judging: {keys: a}", "`keys` and `trust_domain` go together"),
        ("senders: {known: [{name: a, services: [b]}]}", "line 1, column 26: `a`: nobody can be this sender"),
        (
            "senders: {known: [{name: a, services: [b], dns_names: [c]}]}",
            "`c`: no client is asked for its certificate",
        ),
        (
            "senders: {known: [{name: a, services: [b], tokens: [{issuer: i, subject: s}]}]}",
            "`i`: no token is validated; set `senders.registry`",
        ),
        ("senders: {registry: r, known: [{name: a, services: ['*b']}]}", "`*b`: no service"),
        (
            &format!("{tls}senders: {{known: [{{name: a, services: [b], spiffe_ids: [spiffe://x]}}]}}"),
            "`spiffe://x`: no client is asked",
        ),
        (
            "tls: {certificate: a, key: b, client_authorities: c}\n\
             senders: {known: [{name: a, services: [b], spiffe_ids: [https://x/y]}]}",
            "line 2, column 57: `https://x/y`: no SPIFFE ID",
        ),
        (
            "tls: {certificate: a, key: b, client_authorities: c}\n\
             senders: {known: [{name: a, services: [b], dns_names: [X]}, {name: d, services: [b], dns_names: [x]}]}",
            "`d`: the sender `a` is known by the same",
        ),
        ("access: {known: [{role: auditor}]}", "line 1, column 25: `auditor`: nobody can be that"),
        ("access: {known: [{role: boss, dns_names: [a]}]}", "there is no value `boss`"),
        (
            "access: {known: [{role: reader, tokens: [{issuer: i, subject: s}]}]}",
            "`i`: no token is validated; set `access.registry`",
        ),
        (
            "access: {registry: r, known: [{role: reader, tokens: [{issuer: i, subject: s, role: r}]}]}",
            "`i`: give it either a `subject` or a `role`",
        ),
        ("access: {pseudonyms: {keys: [{id: k, file: a}]}}", "`a`: nobody's pseudonyms are looked for"),
        ("telemetry: {otlp_endpoint: localhost}", "`localhost`: no address to send to"),
        ("telemetry: {log_endpoint: localhost}", "`localhost`: no address to send to"),
        ("telemetry: {findings_endpoint: localhost}", "`localhost`: no address to send to"),
        ("alerts: {receivers: [{name: '', webhook: 'http://b'}]}", "no name; write 1 to 64 letters"),
        ("alerts: {receivers: [{name: \"a\\0\", webhook: 'http://b'}]}", "no name; write 1 to 64 letters"),
        ("alerts: {receivers: [{name: a}]}", "`a`: give it either an `alertmanager` or a `webhook`"),
        (
            "alerts: {receivers: [{name: a, webhook: 'https://ann:s3cret@b'}]}",
            "line 1, column 41: `..`: no address to tell",
        ),
        (
            "alerts: {receivers: [{name: a, alertmanager: 'http://b', secret: c}]}",
            "`c`: an Alertmanager checks no signature",
        ),
        (
            "alerts: {receivers: [{name: a, alertmanager: 'http://b', token: c}]}",
            "`c`: the token would be read on the way",
        ),
        ("alerts: {receivers: [{name: a, webhook: 'http://b', rules: [c]}]}", "`c`: there is no such rule"),
        ("alerts: {receivers: [{name: a, webhook: 'http://b', severity: c}]}", "`c`: write high, medium"),
        (
            "alerts: {receivers: [{name: a, webhook: 'http://b'}, {name: a, webhook: 'http://c'}]}",
            "`a`: another receiver is called the same",
        ),
        ("listen: {zipkin: '127.0.0.1:4318'}", "`127.0.0.1:4318`: `otlp_http` listens there"),
        ("windows: {settle: 3m}", "line 1, column 19: `3m`: `max_age` is less than `settle`"),
        (
            "windows: {open: 512G}",
            "line 1, column 17: `512G`: `open` and `judged` together are more than 512 GiB",
        ),
        (
            "windows: {max_age: 31m, max_life: 30m}",
            "line 1, column 35: `30m`: `max_life` is less than `max_age`",
        ),
        ("windows: {max_age: 9s}", "line 1, column 20: `9s`: `max_age` is less than `settle`"),
        ("limits: {request: 1G}", "line 1, column 19: `1G`: `memory` is less than twice `request`"),
        ("store: {refuse_under: 6G}", "line 1, column 23: `6G`: `alarm_under` is less than `refuse_under`"),
        (
            "forward: {endpoint: 'http://localhost:4318'}",
            "`http://localhost:4318`: we listen there ourselves",
        ),
        (
            "listen: {unprotected: true, otlp_http: '0.0.0.0:5'}\nforward: {endpoint: 'http://127.0.0.1:5/x'}",
            "`http://127.0.0.1:5/x`: we listen there ourselves",
        ),
        ("forward: {endpoint: localhost}", "`localhost`: no address to send to"),
        ("forward: {memory: 0}", "`0`: has to be more than nothing"),
        ("links: {pages: hopseal.internal}", "`hopseal.internal`: no address for people"),
        ("telemetry: {log: loud}", "there is no value `loud`"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(said), "{text}\n{error}");
    }
}

/// Guarantees: what is said of the store holds there.
#[test]
fn the_store_is_kept_as_it_is_said() {
    let text = "store: {days: 3, room: 7G, close_after: 9s, alarm_under: 2G, refuse_under: 1M}";
    let store = read(text).expect("a configuration").keep.store;
    let said = (store.days, store.bytes, store.segment_age, store.alarm_under, store.refuse_under);
    assert_eq!(said, (Some(3), Some(7 << 30), Duration::from_secs(9), 2 << 30, 1 << 20));
}

/// Guarantees: beyond this machine, spans come with TLS from known senders, unless that is switched off in so many words.
#[test]
fn beyond_this_machine_is_protected_or_an_error() {
    let tls = "tls: {certificate: a, key: b}\n";
    let required = "senders: {required: true}\n";
    for (rest, listen, refused) in [
        ("", "otlp_grpc: 0.0.0.0:4317", Some("spans would come without TLS")),
        ("", "otlp_http: '[::]:4318'", Some("spans would come without TLS")),
        (required, "zipkin: 192.0.2.1:9411", Some("spans would come without TLS")),
        (tls, "otlp_grpc: 0.0.0.0:4317", Some("spans would be taken from anyone")),
        (&format!("{tls}{required}"), "otlp_grpc: 0.0.0.0:4317", None),
        ("access: {required: true}\n", "api: 0.0.0.0:8317", Some("the API would be without TLS")),
        (&format!("{tls}access: {{required: true}}\n"), "api: 0.0.0.0:8317", None),
        ("access: {required: true}\n", "api: 0.0.0.0:8317, unprotected: true", None),
        ("", "api: 0.0.0.0:8317, unprotected: true", None),
        (&format!("{tls}{required}"), "admin: 0.0.0.0:9464", Some("`admin` has neither")),
        ("", "otlp_grpc: 0.0.0.0:4317, unprotected: true", None),
        ("", "otlp_grpc: 127.8.0.1:4317, otlp_http: '[::1]:0', zipkin: null", None),
    ] {
        let read = read(&format!("{rest}listen: {{{listen}}}"));
        match refused {
            None => assert!(read.is_ok(), "{listen}: {read:?}"),
            Some(said) => {
                assert!(read.as_ref().is_err_and(|error| error.contains(said)), "{listen}: {read:?}")
            }
        }
    }
}
