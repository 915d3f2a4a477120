//! `hopseal trail` and `hopseal top` ask a service that asks for certificates.

use std::path::Path;

use clap::Parser as _;

use super::roles::{store, ungated};
use super::service::{Authority, Running, dns, pem};
use crate::check::Exit;
use crate::cli::{self, Cli};
use crate::serve::listen::Port;
use crate::serve::store::testing::trace_id;

/// How a command line ends, and what it prints and says.
fn run(line: &str) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cli = Cli::try_parse_from(["hopseal"].into_iter().chain(line.split(' '))).expect(line);
    let exit = cli::run(cli, false, &mut out, &mut err);
    (exit, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
}

/// Writes a certificate of that name, and its key. Returns how they are given.
fn certificate(authority: &Authority, folder: &Path, name: &str) -> String {
    let (certificate, key) = authority.issue(vec![dns(name)]);
    let [cert, private] = ["pem", "key"].map(|kind| folder.join(format!("{name}.{kind}")));
    pem(&cert, "CERTIFICATE", &certificate);
    pem(&private, "PRIVATE KEY", key.secret_der());
    format!("--cert {} --key {}", cert.display(), private.display())
}

/// Scenario: a service behind mutual TLS is asked from the command line by an auditor, by a reader, by nobody, and by somebody who
/// believes another authority; and its directory is asked the same.
/// Guarantees: a service answers an auditor as its directory does, whatever is asked, in tables and in JSON; a reader is named nobody;
/// who is not let in is told why, and whom is not believed is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_asked_from_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.certify(folder.path());
    let [auditor, reader, localhost] =
        ["auditor", "reader", "localhost"].map(|name| certificate(&authority, folder.path(), name));
    assert!(!localhost.is_empty());
    let config = folder.path().join("hopseal.yaml");
    let text = "\
listen: {otlp_grpc: null, otlp_http: null, zipkin: null, api: 127.0.0.1:0, admin: null}
tls: {certificate: localhost.pem, key: localhost.key, client_authorities: ca.pem}
access: {required: true, known: [{role: reader, dns_names: [reader]}, {role: auditor, dns_names: [auditor]}]}
";
    std::fs::write(&config, text).expect("written");
    let data = folder.path().join("data");
    let running = Running::start_with(&config, ungated(store(&data).0)).await;
    let port = running.address(Port::Api).port();
    let authorities = folder.path().join("ca.pem").display().to_string();
    let other = folder.path().join("auditor.pem").display().to_string();
    let asked = tokio::task::spawn_blocking(move || {
        let url = format!("--url https://localhost:{port}");
        let trace = trace_id(1);
        let since = "--since 2025-12-31";
        for (line, says) in [
            (format!("find {since}"), "alice of https://idp via agent planner  outside -> gateway"),
            (format!("find {since} --principal alice --tenant acme --basis claimed"), "alice"),
            (format!("find {since} --limit 1"), "there may be more: --after "),
            (format!("find {since} --via envoy"), "no hops found"),
            (format!("trace {trace}"), "identity_dropped"),
            (format!("touched --service gateway {since}"), "from outside via agent planner: 1 hop, "),
            (format!("touched --service orders {since}"), "nobody found"),
            ("findings".to_owned(), "open  high  certain  identity_dropped: somebody was lost"),
            ("findings --user alice --severity high --state open".to_owned(), "identity_dropped"),
            ("findings --since 1h".to_owned(), "no findings found"),
            (format!("edges {since}"), "gateway -> orders  unknown (claimed)  1 hop, 0 failed, 1 uncovered"),
            (format!("edges {since} --minutes 60 --service orders"), "2026-01-01 00:00  gateway -> orders"),
            (
                format!("coverage {since}"),
                "2026-01-01 00:00  2 hops  50.0 % identified  0.0 % proven  50.0 % uncovered",
            ),
        ] {
            for format in ["table", "json"] {
                let here = run(&format!("trail {line} --format {format} --data {}", data.display()));
                let there =
                    run(&format!("trail {line} --format {format} {url} --ca {authorities} {auditor}"));
                assert_eq!((here.0, &*here.2), (Exit::Clean, ""), "{line}");
                assert!(format == "json" || here.1.contains(says), "{line}: {}", here.1);
                assert_eq!(there, here, "{line}");
            }
        }
        let by_reader = format!("{url} --ca {authorities} {reader}");
        let (_, found, _) = run(&format!("trail find {since} {by_reader}"));
        assert!(found.contains("(withheld) of https://idp") && !found.contains("alice"), "{found}");
        let top = run(&format!("top --once --period 2m {by_reader}"));
        assert!(top.0 == Exit::Clean && top.1.contains("identity_dropped"), "{top:?}");
        for (line, exit, said) in [
            (
                format!("trail find --user alice {by_reader}"),
                Exit::Unreadable,
                "answers 403 Forbidden: you may not",
            ),
            (format!("trail edges {url} --ca {authorities}"), Exit::Unreadable, "answers 401 Unauthorized"),
            (format!("trail edges {url} --ca {other} {auditor}"), Exit::Unreadable, "does not answer"),
            (format!("top --once {url} --ca {authorities}"), Exit::Unreadable, "answers 401 Unauthorized"),
            (
                format!("trail trace 000000000000000000000000000000ff {by_reader}"),
                Exit::Findings,
                "no trace `000000000000000000000000000000ff` in this trail",
            ),
            (format!("trail edges --ca {authorities}"), Exit::Usage, "say which by `--url`"),
        ] {
            let (found, _, err) = run(&line);
            assert!(found == exit && err.contains(said), "{line}: {found:?} {err}");
        }
    });
    asked.await.expect("asked");
    running.stop.send_replace(true);
    running.running.await.expect("ends well");
}
