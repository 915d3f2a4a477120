use std::path::Path;

use clap::Parser;
use hopseal_identity::Assurance;

use super::*;
use crate::serve::store::testing::{EPOCH, Sketch, add, trace_id};
use crate::serve::store::{Batch, SqliteStore, Store as _, StoreSettings};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: TrailCommand,
}

/// What a command line prints a minute after the last hop, or why it does not.
fn trail(folder: &Path, line: &str) -> Result<String, String> {
    trail_of(&format!("{line} --data {}", folder.display()))
}

fn trail_of(line: &str) -> Result<String, String> {
    let words = line.split(' ');
    let Line { command } = Line::try_parse_from(std::iter::once("trail").chain(words)).expect(line);
    let mut out = Vec::new();
    let ran = answer(&command, EPOCH + 3_600_000_000_000, &mut out);
    ran.map(|()| String::from_utf8(out).expect("text")).map_err(|error| error.to_string())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path(), StoreSettings::default()).expect("a store");
    let hop = |caller, service, principal, start| Sketch {
        caller,
        service,
        principal,
        issuer: if principal.is_empty() { "" } else { "main" },
        assurance: if principal.is_empty() { Assurance::Unknown } else { Assurance::Verified },
        start,
    };
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    add(batch.block_mut(), 1, 1, &[hop("", "gateway", "alice", 0), hop("gateway", "orders", "", 1500)]);
    store.commit(&batch).expect("kept");
    folder
}

#[test]
fn somebody_is_found() {
    let folder = folder();
    let found = trail(folder.path(), "find --user alice").expect("an answer");
    let expected = "2026-01-01 00:00:00.000  verified (claimed)  alice of main via agent planner  outside -> gateway  \
                    GET /  00000000000000000000000000000002\n";
    assert_eq!(found, expected);
    for (line, expected) in [
        ("find --user bob", "no hops found\n"),
        ("find --user alice --since 59m", "no hops found\n"),
        ("find --user alice --since 2026-01-02", "no hops found\n"),
    ] {
        assert_eq!(trail(folder.path(), line).as_deref(), Ok(expected), "{line}");
    }
    let json = trail(folder.path(), "find --service orders --format json").expect("an answer");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["hops"][0]["service"], "orders");
}

/// Guarantees: each word of a question leaves out what it says, and what is cut off is said, and had by asking on.
#[test]
fn what_is_found_is_narrowed_and_goes_on() {
    let folder = folder();
    let services = |line: &str| {
        let json = trail(folder.path(), &format!("{line} --format json")).expect("an answer");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let hops = json["hops"].as_array().expect("hops").clone();
        hops.iter().map(|hop| hop["service"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    for (line, expected) in [
        ("find", &["orders", "gateway"][..]),
        ("find --caller gateway", &["orders"]),
        ("find --caller orders", &[]),
        ("find --assurance verified", &["gateway"]),
        ("find --assurance sealed", &[]),
        ("find --until 2026-01-02", &["orders", "gateway"]),
        ("find --since 2025-12-31 --until 2026-01-01", &[]),
    ] {
        assert_eq!(services(line), expected, "{line}");
    }
    let first = trail(folder.path(), "find --limit 1").expect("an answer");
    let after = first.lines().last().and_then(|line| line.strip_prefix("there may be more: --after "));
    let after = after.expect("more").to_owned();
    assert_eq!(services(&format!("find --limit 1 --after {after}")), ["gateway"]);
    let second = trail(folder.path(), &format!("find --limit 2 --after {after}")).expect("an answer");
    assert!(!second.contains("there may be more"), "{second}");
}

/// Scenario: somebody stands under a pseudonym; the configuration of the service says where its data is, which keys pseudonyms are
/// made with, and whose subjects.
/// Guarantees: `--config` is enough to find them by name; keys on the command line go before it; without either they are not found.
#[test]
fn people_are_found_by_the_configuration_of_the_service() {
    use hopseal_identity::pseudonym::PseudonymKey;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc\n");
    write("other", "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg\n");
    let pseudonyms = "{keys: [{id: k1, file: key}], issuers: ['https://idp']}";
    let pseudonym = PseudonymKey::new("k1", &[7; 32]).expect("a key").of("https://idp", "alice");
    let hop = Sketch {
        caller: "",
        service: "gateway",
        principal: Box::leak(pseudonym.into_boxed_str()),
        issuer: "",
        assurance: Assurance::Verified,
        start: 0,
    };
    let data = folder.path().join("data");
    let folder_of = format!("store: {{folder: '{}'}}", data.display());
    write("hopseal.yaml", &format!("{folder_of}\naccess: {{pseudonyms: {pseudonyms}}}\n"));
    let store = SqliteStore::open(&data, StoreSettings::default()).expect("a store");
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    add(batch.block_mut(), 1, 1, &[hop]);
    store.commit(&batch).expect("kept");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config = format!("--config {}", path("hopseal.yaml"));
    let key = |name: &str| format!("--pseudonym-key k1={}", path(name));
    for (more, is_found) in [
        (config.clone(), true),
        (format!("{config} {}", key("other")), false),
        (format!("{config} --issuer https://other"), false),
        (format!("--data {}", path("data")), false),
        (format!("--data {} --issuer https://idp {}", path("data"), key("key")), true),
    ] {
        let found = trail_of(&format!("find --user alice {more}")).expect("an answer");
        assert_eq!(found.contains("gateway"), is_found, "{more}: {found}");
    }
    let wrong = format!("find --user alice --data {} {}", path("data"), key("key"));
    assert!(trail_of(&wrong).is_err_and(|error| error.contains("say which")));
}

#[test]
fn a_trace_is_shown_as_a_tree() {
    let folder = folder();
    let shown = trail(folder.path(), &format!("trace {}", trace_id(1))).expect("an answer");
    let expected = "00000000000000000000000000000002  complete\n\
                    gateway  GET /  verified (claimed)  alice of main via agent planner\n\
                    \x20 orders  GET /  unknown (claimed)  -\n";
    assert_eq!(shown, expected);
}

#[test]
fn what_cannot_be_answered() {
    let folder = folder();
    for (line, error) in [
        ("trace 12", "a trace id is 32 hex digits, not all zero"),
        (
            "trace 000000000000000000000000000000ff",
            "no trace `000000000000000000000000000000ff` in this trail",
        ),
        ("find --since 1h --until 2h", "`--until` is not after `--since`: nothing can lie between"),
        ("find --user a --issuer b --pseudonym-key c", "`c` is not the id of a key, `=` and its file"),
    ] {
        assert_eq!(trail(folder.path(), line), Err(error.to_owned()), "{line}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(
        trail(empty.path(), "find --user a"),
        Err(format!("no trail in `{}`", empty.path().display()))
    );
}

/// Scenario: names that spans say would drive the terminal of whoever reads them.
/// Guarantees: they do not.
#[test]
fn what_spans_say_does_not_drive_the_terminal() {
    const HOSTILE: &str = "mallory\u{1b}]0;x\u{7}\n2026-01-01 alice";
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path(), StoreSettings::default()).expect("a store");
    let hop = Sketch {
        caller: HOSTILE,
        service: HOSTILE,
        principal: HOSTILE,
        issuer: HOSTILE,
        assurance: Assurance::Verified,
        start: 0,
    };
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    add(batch.block_mut(), 1, 1, &[hop]);
    store.commit(&batch).expect("kept");
    let id = trace_id(1).to_string();
    for line in ["find --since 2025-12-31".to_owned(), format!("trace {id}")] {
        let said = trail(folder.path(), &line).expect("an answer");
        assert!(said.contains("mallory") && !said.contains('\u{1b}'), "{said:?}");
        assert!(said.lines().all(|line| !line.starts_with("2026-01-01 alice")), "{said:?}");
    }
}
