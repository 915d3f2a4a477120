//! Components of others that are too big for every test run: fetched and built once, kept in the user's cache.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use crate::exec;
use crate::task::TaskError;

const KEYCLOAK: &str = "26.5.5";
const SPIRE: &str = "1.13.3";
/// By the count of its module, and by that of its releases.
const JAEGER: &str = "1.76.0";
#[cfg(test)]
const JAEGER_RELEASE: &str = "2.13.0";
const COLLECTOR: &str = "0.159.0";
/// The version of its stable modules.
const COLLECTOR_STABLE: &str = "1.65.0";
const CONTRIB: &str = "github.com/open-telemetry/opentelemetry-collector-contrib";
const ROTEL: &str = "0.0.1a15";

/// What they are fetched and built with, how to see that it is there, and how Debian calls it.
pub(crate) const NEEDED: [(&str, &str, &str); 4] = [
    ("go", "version", "apt-get install golang-go"),
    ("java", "-version", "apt-get install default-jre-headless"),
    ("mvn", "--version", "apt-get install maven"),
    ("unzip", "-v", "apt-get install unzip"),
];

/// The folder of Keycloak, from Maven; some 150 MB.
pub(crate) fn keycloak(out: &mut dyn Write) -> Result<PathBuf, TaskError> {
    kept(&format!("keycloak-{KEYCLOAK}"), |building| {
        let name = format!("keycloak-quarkus-dist-{KEYCLOAK}.zip");
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "dependency:copy"]);
        maven.arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:zip"));
        maven.arg(format!("-DoutputDirectory={}", building.display()));
        exec::run(&mut maven, out)?;
        exec::run(Command::new("unzip").args(["-q", &name]).current_dir(building), out)?;
        Ok(building.join(format!("keycloak-{KEYCLOAK}")))
    })
}

/// The folder of an OpenTelemetry Collector with the parts of its core that our configuration names, and what benches compare with,
/// built of their modules; some minutes.
pub(crate) fn collector(out: &mut dyn Write) -> Result<PathBuf, TaskError> {
    kept(&format!("otelcol-{COLLECTOR}-grouping"), |building| {
        let of = |kind: &str, modules: &[(&str, &str)]| {
            let line = |(module, version): &(&str, &str)| {
                let at = if module.starts_with(CONTRIB) { "" } else { "go.opentelemetry.io/collector/" };
                format!("  - gomod: {at}{module} v{version}\n")
            };
            format!("{kind}:\n{}", modules.iter().map(line).collect::<String>())
        };
        let manifest = [
            format!("dist: {{name: otelcol, output_path: ./built, version: {COLLECTOR}}}\n"),
            of("receivers", &[("receiver/otlpreceiver", COLLECTOR)]),
            of("exporters", &[("exporter/otlpexporter", COLLECTOR), ("exporter/nopexporter", COLLECTOR)]),
            of(
                "processors",
                &[
                    ("processor/batchprocessor", COLLECTOR),
                    ("processor/memorylimiterprocessor", COLLECTOR),
                    (&format!("{CONTRIB}/processor/groupbytraceprocessor"), COLLECTOR),
                ],
            ),
            of(
                "providers",
                &[
                    ("confmap/provider/envprovider", COLLECTOR_STABLE),
                    ("confmap/provider/fileprovider", COLLECTOR_STABLE),
                ],
            ),
        ];
        fs::write(building.join("manifest.yaml"), manifest.concat())?;
        let programs = building.join("programs");
        let go = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.current_dir(building).env("GOBIN", &programs);
            command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-p=2").args(arguments);
            command
        };
        let builder = format!("go.opentelemetry.io/collector/cmd/builder@v{COLLECTOR}");
        exec::run(&mut go("go", &["install", &builder]), out)?;
        let builder = programs.join("builder");
        exec::run(&mut go(&builder.to_string_lossy(), &["--config", "manifest.yaml"]), out)?;
        Ok(building.join("built"))
    })
}

/// The folder of the package of rotel, a collector in Rust, from PyPI.
pub(crate) fn rotel(out: &mut dyn Write) -> Result<PathBuf, TaskError> {
    kept(&format!("rotel-{ROTEL}"), |building| {
        exec::run(Command::new("python3").current_dir(building).args(["-m", "venv", "python"]), out)?;
        let mut pip = Command::new(building.join("python/bin/pip"));
        pip.current_dir(building).args(["install", "--quiet", "--no-deps", "--target", "built"]);
        exec::run(pip.arg(format!("rotel=={ROTEL}")), out)?;
        Ok(building.join("built"))
    })
}

/// The folder of the programs of SPIRE, built of its module; some minutes.
pub(crate) fn spire(out: &mut dyn Write) -> Result<PathBuf, TaskError> {
    let programs = ["spire-server", "spire-agent"].map(|name| format!("github.com/spiffe/spire/cmd/{name}"));
    of_module(&format!("spire-{SPIRE}"), &programs, SPIRE, out)
}

/// The folder of Jaeger, built of its module; many minutes.
pub(crate) fn jaeger(out: &mut dyn Write) -> Result<PathBuf, TaskError> {
    let program = "github.com/jaegertracing/jaeger/cmd/jaeger".to_owned();
    of_module(&format!("jaeger-{JAEGER}"), &[program], JAEGER, out)
}

/// The folder of programs that are built of a module of that version.
fn of_module(
    name: &str,
    programs: &[String],
    version: &str,
    out: &mut dyn Write,
) -> Result<PathBuf, TaskError> {
    kept(name, |building| {
        // In a module of our own: what `go install` refuses, as a module with replacements, is built all the same.
        let mut go = |arguments: &[&str]| {
            let mut go = Command::new("go");
            go.current_dir(building).env("GOTOOLCHAIN", "local").env("GOFLAGS", "-p=2").args(arguments);
            exec::run(&mut go, out)
        };
        go(&["mod", "init", "hopseal.example/e2e"])?;
        for program in programs {
            go(&["get", "-tool", &format!("{program}@v{version}")])?;
        }
        let built = building.join("built");
        fs::create_dir(&built)?;
        for program in programs {
            go(&["build", "-o", "built/", program])?;
        }
        Ok(built)
    })
}

/// A folder of the cache; made first if it is not there, at once and as a whole.
fn kept(name: &str, make: impl FnOnce(&Path) -> Result<PathBuf, TaskError>) -> Result<PathBuf, TaskError> {
    let cache = cache().ok_or(TaskError::NoHome)?;
    let folder = cache.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let building = cache.join(format!("{name}.part"));
    match fs::remove_dir_all(&building) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&building)?,
    }
    fs::rename(make(&building)?, &folder)?;
    fs::remove_dir_all(&building)?;
    Ok(folder)
}

fn cache() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    Some(set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?.join("hopseal/e2e"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What docker-compose.yml starts is of the versions that are tested.
    #[test]
    fn images_are_of_the_same_versions() {
        let compose = include_str!("../../docker-compose.yml");
        for (image, version) in [
            ("otel/opentelemetry-collector", COLLECTOR),
            ("jaegertracing/jaeger", JAEGER_RELEASE),
            ("quay.io/keycloak/keycloak", KEYCLOAK),
        ] {
            assert!(compose.contains(&format!("image: {image}:{version}\n")), "{image}:{version}");
        }
    }
}
