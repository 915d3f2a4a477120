//! Programs of others, as `neighbours/install` left them. Each ends with what started it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A program that runs.
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Some are scripts that start others: the whole group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("{} said: {}", self.name, self.said());
        }
    }
}

impl Running {
    fn start(name: &'static str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let errors = File::create(&log).unwrap();
        let command = command.stdin(Stdio::piped()).stderr(errors).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, child, log }
    }

    /// Starts one that listens there once it is ready.
    fn listening(name: &'static str, folder: &Path, at: SocketAddr, command: &mut Command) -> Self {
        let out = File::create(folder.join(format!("{name}.out"))).unwrap();
        let mut running = Self::start(name, folder, command.stdout(out));
        for _ in 0..1200 {
            if TcpStream::connect(at).is_ok() {
                return running;
            }
            assert!(
                running.child.try_wait().unwrap().is_none(),
                "{} ended: {}",
                running.name,
                running.said()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{} does not start: {}", running.name, running.said());
    }

    fn said(&self) -> String {
        let out = self.log.with_extension("out");
        fs::read_to_string(&self.log).unwrap_or_default() + &fs::read_to_string(out).unwrap_or_default()
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet/polyglot/neighbours")
}

/// The folder of what is installed.
fn kept() -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fleet");
    assert!(kept.is_dir(), "install them: tests/fleet/polyglot/neighbours/install");
    kept.canonicalize().unwrap()
}

/// A port that nobody listens at now.
pub(crate) fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Envoy, in front of `gateway`.
pub(crate) fn edge(
    folder: &Path,
    issuer: &str,
    gateway: SocketAddr,
    receiver: SocketAddr,
) -> (Running, SocketAddr) {
    let at = free();
    let socket =
        |address: SocketAddr| format!("{{address: {}, port_value: {}}}", address.ip(), address.port());
    let provider: SocketAddr = issuer.trim_start_matches("http://").parse().unwrap();
    let mut text = fs::read_to_string(here().join("edge.yaml")).unwrap();
    for (name, value) in [
        ("<port>", at.port().to_string()),
        ("<issuer>", issuer.to_owned()),
        ("<receiver>", receiver.to_string()),
        ("<gateway>", socket(gateway)),
        ("<provider>", socket(provider)),
        ("<collector>", socket(receiver)),
    ] {
        text = text.replace(name, &value);
    }
    let configuration = folder.join("edge.yaml");
    fs::write(&configuration, text).unwrap();
    let mut envoy = Command::new(kept().join("python/bin/envoy"));
    envoy.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "--config-path"]);
    (Running::listening("edge", folder, at, envoy.arg(configuration)), at)
}

/// What OpenTelemetry's own SDKs are told.
fn traced(command: &mut Command, name: &str, port: SocketAddr, receiver: SocketAddr) {
    command.current_dir(kept()).env("PORT", port.port().to_string()).envs([
        ("OTEL_SERVICE_NAME", name),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{receiver}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_NODE_RESOURCE_DETECTORS", "env"),
    ]);
}

/// `catalog`, in Python, which calls `pricing`.
pub(crate) fn catalog(folder: &Path, pricing: SocketAddr, receiver: SocketAddr) -> (Running, SocketAddr) {
    let at = free();
    let mut python = Command::new(kept().join("python/bin/python"));
    traced(&mut python, "catalog", at, receiver);
    python.arg(here().join("catalog.py")).env("PRICING", format!("http://{pricing}"));
    (Running::listening("catalog", folder, at, &mut python), at)
}

/// `pricing`, in JavaScript, which calls `stock`.
pub(crate) fn pricing(folder: &Path, stock: SocketAddr, receiver: SocketAddr) -> (Running, SocketAddr) {
    let at = free();
    let mut node = Command::new("node");
    traced(&mut node, "pricing", at, receiver);
    for script in ["tracing.cjs", "pricing.cjs"] {
        // Where its packages are.
        fs::copy(here().join(script), kept().join(script)).unwrap();
    }
    node.args(["--require", "./tracing.cjs", "pricing.cjs"]).env("STOCK", stock.to_string());
    (Running::listening("pricing", folder, at, &mut node), at)
}

/// What all of Java are told: to start fast, and to be small.
fn java(what: &str) -> Command {
    let classpath = fs::read_to_string(kept().join(format!("{what}.classpath"))).unwrap();
    let ours = [here().join(what), kept().join(what)].map(|path| path.display().to_string());
    let mut java = Command::new("java");
    java.args(["-Xmx300m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
    java.arg([&*ours[0], &*ours[1], classpath.trim()].join(":"));
    java
}

/// `billing`, of Spring Boot 3, which calls `ledger`.
pub(crate) fn billing(folder: &Path, ledger: SocketAddr, receiver: SocketAddr) -> (Running, SocketAddr) {
    let at = free();
    let mut java = java("billing");
    java.arg("billing.Billing").args([
        format!("--server.port={}", at.port()),
        format!("--management.otlp.tracing.endpoint=http://{receiver}/v1/traces"),
        format!("--ledger=http://{ledger}"),
    ]);
    (Running::listening("billing", folder, at, &mut java), at)
}

/// `warehouse`, of Spring Cloud Sleuth, which calls `packing`.
pub(crate) fn warehouse(folder: &Path, packing: SocketAddr, receiver: SocketAddr) -> (Running, SocketAddr) {
    let at = free();
    let mut java = java("warehouse");
    java.arg("warehouse.Warehouse").args([
        format!("--server.port={}", at.port()),
        format!("--spring.zipkin.base-url=http://{receiver}/"),
        format!("--packing=http://{packing}"),
    ]);
    (Running::listening("warehouse", folder, at, &mut java), at)
}

/// A server of NATS.
pub(crate) fn nats(folder: &Path) -> (Running, SocketAddr) {
    let at = free();
    let mut nats = Command::new("nats-server");
    nats.args(["--addr", "127.0.0.1", "--port", &at.port().to_string()]);
    (Running::listening("nats", folder, at, &mut nats), at)
}

/// A broker of Kafka, which is its own controller.
pub(crate) fn kafka(folder: &Path) -> (Running, SocketAddr) {
    let (at, controller) = (free(), free());
    let properties = folder.join("kafka.properties");
    let lines = [
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!("controller.quorum.voters=1@{controller}"),
        format!("listeners=PLAINTEXT://{at},CONTROLLER://{controller}"),
        format!("advertised.listeners=PLAINTEXT://{at}"),
        "controller.listener.names=CONTROLLER".to_owned(),
        format!("log.dirs={}", folder.join("kafka").display()),
        "offsets.topic.num.partitions=1".to_owned(),
        "offsets.topic.replication.factor=1".to_owned(),
        "group.initial.rebalance.delay.ms=0".to_owned(),
    ];
    fs::write(&properties, lines.join("\n")).unwrap();
    let mut format = java("broker");
    format.args(["kafka.tools.StorageTool", "format", "--cluster-id", "of-one-run-of-the-fleet", "--config"]);
    let formatted = format.arg(&properties).output().unwrap();
    assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
    let mut kafka = java("broker");
    (Running::listening("kafka", folder, at, kafka.arg("kafka.Kafka").arg(properties)), at)
}

/// `receipts`, a function, whose runtime API is there.
pub(crate) fn receipts(
    folder: &Path,
    runtime: SocketAddr,
    receiver: SocketAddr,
    published: &[u8],
) -> Running {
    let tests = std::env::current_exe().unwrap();
    let function = tests.parent().and_then(Path::parent).unwrap().join("examples/receipts");
    let mut receipts = Command::new(function);
    receipts.env("AWS_LAMBDA_RUNTIME_API", runtime.to_string()).envs([
        ("AWS_LAMBDA_FUNCTION_NAME", "receipts"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", ""),
        ("AWS_LAMBDA_LOG_GROUP_NAME", ""),
        ("PUBLISHED", &*String::from_utf8_lossy(published)),
        ("RECEIVER", &format!("http://{receiver}")),
    ]);
    // It asks for requests, and needs no time to be ready.
    Running::start("receipts", folder, &mut receipts)
}
