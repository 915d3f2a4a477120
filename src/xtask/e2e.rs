//! `cargo xtask e2e`.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::metadata::Metadata;
use crate::task::{Repository, TaskError};
use crate::{components, exec};

/// Starts the fleet of `tests/examples/capture` (Python, Node, Java), traces it anew, and checks that the same is said of it as of
/// the committed capture; lets Nimbus check our seals; sends spans by the exporters of Java; sends requests through a fleet of
/// neighbours of all kinds, with an enemy on nine of its wires; validates tokens of Keycloak and SVIDs of SPIRE; sends spans through an OpenTelemetry Collector, and
/// findings to Jaeger; runs docker-compose.yml by podman; lints each feature by itself; and takes the power from a thousand processes.
/// Fetches what is needed; Jaeger alone takes half an hour the first time.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these parts.
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The fleet, traced anew.
    Capture,
    /// Our seals, checked by Nimbus.
    Seals,
    /// Spans, sent by the exporters of Java.
    Exporters,
    /// A fleet with Envoy, Python, Node, Spring, Sleuth, NATS, Kafka and Lambda.
    Fleet,
    /// Keycloak and SPIRE.
    Providers,
    /// An OpenTelemetry Collector in front of a service.
    Collector,
    /// The same, and Jaeger beside the service, which shows its findings.
    Jaeger,
    /// docker-compose.yml, with images that are built here.
    Compose,
    /// Each feature of each crate by itself, without a warning.
    Features,
    /// A thousand processes that keep spans while the disk fails, and of most of which the power goes.
    Power,
}

const COMMITTED: &str = "tests/examples/checkout.otlp.json";
/// What the fleet runs on, and how Debian calls it.
const NEEDED: [(&str, &str, &str); 5] = [
    ("python3", "--version", "apt-get install python3-venv"),
    ("node", "--version", "apt-get install nodejs"),
    ("npm", "--version", "apt-get install npm"),
    ("javac", "-version", "apt-get install default-jdk-headless"),
    ("mvn", "--version", "apt-get install maven"),
];

/// What containers are built and run with.
const CONTAINERS: [(&str, &str, &str); 6] = {
    const INSTALL: &str = "apt-get install podman runc netavark aardvark-dns iptables buildah debootstrap";
    [
        ("podman", "--version", INSTALL),
        ("runc", "--version", INSTALL),
        ("iptables", "--version", INSTALL),
        ("debootstrap", "--version", INSTALL),
        ("docker-compose", "--version", "apt-get install docker-compose"),
        ("python3", "--version", "apt-get install python3-venv"),
    ]
};

/// The part of a report that does not change with ids and times.
#[derive(Debug, PartialEq, Deserialize)]
struct Said {
    traces: Vec<Trace>,
    findings: Vec<Finding>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Trace {
    complete: bool,
    hops: Vec<Hop>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Hop {
    caller: Option<String>,
    service: String,
    operation: String,
    assurance: String,
    principal: Option<Principal>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Principal {
    id: String,
    kind: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Finding {
    rule: String,
    severity: String,
    confidence: String,
    caller: Option<String>,
    service: String,
    operation: String,
}

pub(crate) fn run(args: &Args, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let wanted = |part| args.parts.is_empty() || args.parts.contains(&part);
    if wanted(Part::Capture) {
        capture(repository, out)?;
    }
    if wanted(Part::Seals) {
        java_checks_seals(repository, out)?;
    }
    if wanted(Part::Exporters) {
        java_sends_spans(repository, out)?;
    }
    if wanted(Part::Fleet) {
        fleet(repository, out)?;
    }
    if wanted(Part::Providers) {
        providers(repository, out)?;
    }
    if wanted(Part::Collector) {
        collector(repository, out)?;
    }
    if wanted(Part::Jaeger) {
        jaeger(repository, out)?;
    }
    if wanted(Part::Compose) {
        compose(repository, out)?;
    }
    if wanted(Part::Features) {
        features(repository, out)?;
    }
    if wanted(Part::Power) {
        power(repository, out)?;
    }
    Ok(())
}

/// Traces the fleet anew and compares.
fn capture(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    exec::needed(&NEEDED)?;
    let taken = Metadata::read(repository)?.target_directory.join("e2e/checkout.otlp.json");
    if let Some(folder) = taken.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut capture = Command::new(repository.root().join("tests/examples/capture/run"));
    exec::run(capture.arg(&taken), out)?;
    let (expected, found) = (said(repository, Path::new(COMMITTED))?, said(repository, &taken)?);
    if expected != found {
        writeln!(out, "expected {expected:#?}\nfound {found:#?}")?;
        return Err(TaskError::Differs);
    }
    let hops: usize = found.traces.iter().map(|trace| trace.hops.len()).sum();
    Ok(writeln!(out, "e2e: taken anew, the same {hops} hops and {} findings", found.findings.len())?)
}

/// Runs the one test of `tests/interop` that takes a JDK.
fn java_checks_seals(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    crate::test::install_interop(repository, &["java"], out)?;
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).args(["test", "--locked", "--package", "hopseal-tests"]);
    exec::run(cargo.args(["--test", "interop", "--", "--ignored"]), out)
}

/// Runs the one test of `tests/end_to_end` whose spans come from Java.
fn java_sends_spans(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    crate::test::install_interop(repository, &["java"], out)?;
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).args(["test", "--locked", "--package", "hopseal-tests"]);
    exec::run(cargo.args(["--test", "end_to_end", "--", "--ignored", "exporters::"]), out)
}

/// Runs the tests of `tests/fleet` that take neighbours of all kinds.
fn fleet(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    exec::needed(&NEEDED)?;
    crate::test::install_programs(&[(&["nats-server"], "nats-server")], out)?;
    crate::test::install("tests/idp/oidc-provider", repository, out)?;
    exec::run(&mut Command::new(repository.root().join("tests/fleet/polyglot/neighbours/install")), out)?;
    let cargo = |arguments: &[&str]| {
        let mut cargo = exec::cargo();
        cargo.current_dir(repository.root()).args(arguments).args(["--locked", "--package", "hopseal-tests"]);
        cargo
    };
    // The function of the fleet, a program of its own.
    exec::run(cargo(&["build"]).args(["--example", "receipts"]), out)?;
    exec::run(cargo(&["test"]).args(["--test", "fleet", "--", "--ignored"]), out)
}

/// Runs the tests of `tests/idp` that take Keycloak or SPIRE.
fn providers(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    exec::needed(&components::NEEDED)?;
    let (keycloak, spire) = (components::keycloak(out)?, components::spire(out)?);
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).args(["test", "--locked", "--package", "hopseal-tests"]);
    cargo.env("HOPSEAL_KEYCLOAK", keycloak).env("HOPSEAL_SPIRE", spire);
    // One after the other: Keycloak takes a minute of both cores to start.
    exec::run(cargo.args(["--test", "idp", "--", "--ignored", "--test-threads=1"]), out)
}

/// Runs the tests of `tests/end_to_end` that take an OpenTelemetry Collector.
fn collector(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    exec::needed(&components::NEEDED[..1])?;
    let built = components::collector(out)?;
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).args(["test", "--locked", "--package", "hopseal-tests"]);
    cargo.env("HOPSEAL_OTELCOL", built.join("otelcol"));
    exec::run(cargo.args(["--test", "end_to_end", "--", "--ignored", "collector::"]), out)
}

/// Runs the tests of `tests/end_to_end` that take Jaeger.
fn jaeger(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    exec::needed(&components::NEEDED[..1])?;
    let (collector, jaeger) = (components::collector(out)?, components::jaeger(out)?);
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).args(["test", "--locked", "--package", "hopseal-tests"]);
    cargo.env("HOPSEAL_OTELCOL", collector.join("otelcol")).env("HOPSEAL_JAEGER", jaeger.join("jaeger"));
    exec::run(cargo.args(["--test", "end_to_end", "--", "--ignored", "jaeger::"]), out)
}

/// Runs docker-compose.yml by podman, as root: what of it can be built here.
fn compose(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    exec::needed(&CONTAINERS)?;
    exec::needed(&components::NEEDED)?;
    let (collector, jaeger) = (components::collector(out)?, components::jaeger(out)?);
    let keycloak = components::keycloak(out)?;
    let folder = Metadata::read(repository)?.target_directory.join("compose");
    let mut run = Command::new(repository.root().join("tests/compose/run"));
    run.arg(folder).arg(collector.join("otelcol")).arg(jaeger.join("jaeger")).arg(keycloak);
    exec::run(&mut run, out)
}

/// Lints each crate with none of its features, and with each alone: what one needs of another must not show only where both are on.
fn features(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    for package in Metadata::read(repository)?.packages {
        let each = package.features.keys().filter(|feature| *feature != "default").map(String::as_str);
        for feature in std::iter::once("").chain(each) {
            let mut cargo = exec::cargo();
            cargo.current_dir(repository.root()).args(["clippy", "--locked", "--quiet", "--all-targets"]);
            cargo.args(["--package", &package.name, "--no-default-features", "--features", feature]);
            exec::run(cargo.args(["--", "-D", "warnings"]), out)?;
        }
    }
    Ok(())
}

/// Many more of the histories that each test run has a few of: of four processes each.
fn power(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).env("HOPSEAL_CRASH_HISTORIES", "250");
    exec::run(cargo.args(["test", "--locked", "--package", "hopseal-collector", "--lib", "keep::power"]), out)
}

/// What `hopseal check` says of a file, in an order that ids do not change.
fn said(repository: &Repository, file: &Path) -> Result<Said, TaskError> {
    let mut check = exec::cargo();
    check.current_dir(repository.root()).args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "hopseal-collector",
        "--",
    ]);
    check.args(["check", "--format", "json", "--fail-on", "never", "--strict"]).arg(file);
    let mut said: Said = serde_json::from_str(&exec::read(&mut check)?)
        .map_err(|source| TaskError::Output { command: "hopseal check", source })?;
    said.traces.sort();
    said.findings.sort();
    Ok(said)
}
