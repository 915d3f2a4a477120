//! Real exporters of other SDKs, by every protocol that each has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value as Attribute};
use opentelemetry_otlp::{
    Compression, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde::Deserialize;
use serde_json::Value;

use crate::alerts::{port, until};
use crate::serve::Serving;

/// What a program says that it sent in one way.
#[derive(Debug, Deserialize)]
struct Sent {
    way: String,
    /// As our metrics call it.
    protocol: String,
    spans: u64,
    traces: Vec<SentTrace>,
}

#[derive(Debug, Deserialize)]
struct SentTrace {
    trace: String,
    hops: Vec<SentHop>,
}

#[derive(Debug, Deserialize)]
struct SentHop {
    span: String,
    service: String,
    operation: String,
    /// The value of `user.id`.
    user: String,
    /// Nanoseconds, where the SDK says them.
    start: Option<String>,
    end: Option<String>,
}

/// The ports of a service: OTLP over gRPC and over HTTP, and Zipkin.
type Ports = [String; 3];

/// How SDKs are told, by their environment, of files beside the configuration.
const TLS: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "authority.pem"),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "agent.pem"),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "agent.key"),
];

/// Writes an authority, and a certificate of the service and of a sender, and configures the service to take spans from that
/// sender alone.
fn secured(folder: &Path) -> &'static str {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("written");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // Else it and those that it signs are called the same, and seem to have signed themselves.
    params.distinguished_name.push(DnType::CommonName, "authority");
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    write("authority.pem", authority.pem());
    for (name, whose) in [("server", "127.0.0.1"), ("agent", "agent.shop.internal")] {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([whose.to_owned()]).expect("a name");
        params.use_authority_key_identifier_extension = true;
        write(&format!("{name}.pem"), params.signed_by(&key, &authority).expect("signed").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    "tls: {certificate: server.pem, key: server.key, client_authorities: authority.pem, require_client_certificate: true}
senders: {required: true, known: [{name: shop, services: [gateway, orders], dns_names: [agent.shop.internal]}]}
"
}

/// Serves, has spans sent by whatever `send` starts, and asks for each of them.
async fn arrives_once(least: usize, is_secure: bool, send: impl AsyncFnOnce(&Ports, &Path) -> Vec<Sent>) {
    let folder = tempfile::tempdir().expect("a folder");
    let more = if is_secure { secured(folder.path()) } else { "" };
    let config = folder.path().join("hopseal.yaml");
    let (grpc, zipkin) = (port(), port());
    let text = format!(
        "listen: {{otlp_grpc: 127.0.0.1:{grpc}, otlp_http: 127.0.0.1:0, zipkin: 127.0.0.1:{zipkin}, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
windows: {{settle: 1s}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
{more}",
        folder.path().join("data").display()
    );
    std::fs::write(&config, text).expect("written");
    let serving = Serving::start(&config);
    let http = serving.spans.rsplit(':').next().expect("a port").to_owned();
    let sent = send(&[grpc.to_string(), http, zipkin.to_string()], folder.path()).await;
    assert!(sent.len() >= least, "{} ways", sent.len());

    let mut spans = BTreeMap::<&str, u64>::new();
    for way in &sent {
        *spans.entry(&way.protocol).or_default() += way.spans;
        assert!(way.traces.len() > 1, "{}", way.way);
        for trace in &way.traces {
            arrived(&serving, way, trace, if is_secure { "authenticated_sender" } else { "claimed" }).await;
        }
    }
    let metrics = serving.get(&serving.admin, "/metrics").await;
    let counted = |name: &str, protocol: &str| -> u64 {
        let start = format!("hopseal_receive_{name}_total{{protocol=\"{protocol}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |number| number.parse().expect("a number"))
    };
    for (protocol, spans) in spans {
        assert_eq!(counted("spans", protocol), spans, "{protocol}");
        assert_eq!(counted("rejected_spans", protocol), 0, "{protocol}");
        if protocol != "zipkin" {
            let (compressed, plain) =
                (counted("body_bytes", protocol), counted("inflated_body_bytes", protocol));
            assert!(compressed < plain, "{protocol}: {compressed} of {plain}: nobody compresses");
        }
    }
    serving.stop();
}

/// Asks for a trace until all of it is there, and holds it to what was sent.
async fn arrived(serving: &Serving, way: &Sent, sent: &SentTrace, basis: &str) {
    let path = format!("http://{}/api/v1/traces/{}", serving.api, sent.trace);
    let mut trace = Value::Null;
    until(&format!("{} in {}", sent.trace, way.way), async || {
        let answer = reqwest::get(&path).await.expect("an answer").text().await.expect("text");
        trace = serde_json::from_str(&answer).expect("JSON");
        trace["hops"].as_array().is_some_and(|hops| hops.len() >= sent.hops.len())
    })
    .await;
    let by_otlp = way.protocol != "zipkin";
    let hop = |hop: &Value| -> Vec<Value> {
        let mut fields = ["span_id", "service", "operation"].map(|key| hop[key].clone()).to_vec();
        fields.push(hop["principal"]["id"].clone());
        // What Zipkin has no place for.
        if by_otlp {
            fields.extend(["namespace", "environment"].map(|key| hop[key].clone()));
        }
        fields
    };
    let found: Vec<Vec<Value>> = trace["hops"].as_array().expect("hops").iter().map(hop).collect();
    let expected = sent.hops.iter().map(|hop| {
        let more: &[&str] = if by_otlp { &["shop", "test"] } else { &[] };
        let fields = [&[&*hop.span, &hop.service, &hop.operation, &hop.user], more].concat();
        fields.into_iter().map(Value::from).collect()
    });
    let expected: Vec<Vec<Value>> = expected.collect();
    assert_eq!(found, expected, "{}: {trace:#}", way.way);
    assert_eq!((&trace["complete"], &trace["missing_parents"]), (&true.into(), &0.into()), "{}", way.way);
    for (hop, sent) in trace["hops"].as_array().expect("hops").iter().zip(&sent.hops) {
        assert_eq!(hop["basis"], basis, "{}", way.way);
        for (key, sent) in [("start_unix_nano", &sent.start), ("end_unix_nano", &sent.end)] {
            let Some(sent) = sent else { continue };
            let [found, sent]: [u64; 2] =
                [hop[key].as_str().expect("text"), sent].map(|nanos| nanos.parse().expect("a number"));
            // Zipkin's times are microseconds, and its ends are sums of two of them.
            let near = if by_otlp { 0 } else { 2000 };
            assert!(found.abs_diff(sent) <= near, "{} {key}: {found}, not {sent}", way.way);
        }
    }
}

/// Where the libraries of `tests/interop` are.
fn kept(needed: &str) -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/interop");
    assert!(kept.join(needed).exists(), "{needed} is missing; install it with `tests/interop/install`");
    kept
}

/// Runs a program that says what it sent.
async fn run(mut program: Command, ports: &Ports) -> Vec<Sent> {
    program.args(ports);
    let run = tokio::task::spawn_blocking(move || program.output()).await.expect("no panic");
    let run = run.expect("starts, once installed");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let lines = String::from_utf8(run.stdout).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("what was sent")).collect()
}

fn interop(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name)
}

fn python() -> Command {
    let mut python = Command::new(kept("python/bin/python").join("python/bin/python"));
    python.arg(interop("send.py"));
    python
}

/// `copy` is what no other test calls its own.
fn node(copy: &str) -> Command {
    let kept = kept("node_modules/@opentelemetry/sdk-trace-base");
    // Beside the modules that it imports.
    let program = kept.join(format!("send-{copy}.mjs"));
    std::fs::copy(interop("send.mjs"), &program).expect("copies");
    let mut node = Command::new("node");
    node.arg(program);
    node
}

/// Scenario: two services in Python send to a running service over gRPC, HTTP with protobuf and with JSON, each with gzip and
/// without, and by Zipkin; and so does an old client of Zipkin, with 64-bit trace ids and shared span ids.
/// Guarantees: every span arrives once, with what it says.
#[tokio::test]
async fn from_python() {
    arrives_once(9, false, async |ports, _| run(python(), ports).await).await;
}

/// Scenario: the same by OTLP over TLS, with a certificate, to a service that takes spans from nobody else.
/// Guarantees: every span arrives once, and is proven by its sender.
#[tokio::test]
async fn from_python_over_tls() {
    arrives_once(6, true, async |ports, folder| {
        let mut python = python();
        python.envs(TLS.map(|(name, file)| (name, folder.join(file))));
        // These would count more.
        ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"].into_iter().for_each(|name| _ = python.env_remove(name));
        run(python, ports).await
    })
    .await;
}

/// Scenario: two services in Node send over gRPC, HTTP with protobuf and with JSON (in chunks), each with gzip and without, and by
/// Zipkin.
/// Guarantees: every span arrives once, with what it says.
#[tokio::test]
async fn from_node() {
    arrives_once(7, false, async |ports, _| run(node("plain"), ports).await).await;
}

/// Scenario: the same by OTLP over TLS, with a certificate, to a service that takes spans from nobody else.
/// Guarantees: every span arrives once, and is proven by its sender.
#[tokio::test]
async fn from_node_over_tls() {
    arrives_once(6, true, async |ports, folder| {
        let mut node = node("tls");
        node.envs(TLS.map(|(name, file)| (name, folder.join(file))));
        run(node, ports).await
    })
    .await;
}

/// Scenario: two services in Java send over gRPC and HTTP, with gzip and without, and by Zipkin.
/// Guarantees: every span arrives once, with what it says.
#[tokio::test]
#[ignore = "needs a JDK and Maven: `cargo xtask e2e exporters`"]
async fn from_java() {
    arrives_once(5, false, async |ports, _| {
        let mut java = Command::new("java");
        java.arg("-cp").arg(kept("java").join("java/*")).arg(interop("Send.java"));
        run(java, ports).await
    })
    .await;
}

/// Scenario: two services in Rust send over gRPC and HTTP, with gzip and without.
/// Guarantees: every span arrives once, with what it says.
#[tokio::test(flavor = "multi_thread")]
async fn from_rust() {
    arrives_once(4, false, async |ports, _| {
        let [grpc, http, _] = ports;
        let mut sent = Vec::new();
        for gzip in [false, true] {
            let endpoint = format!("http://127.0.0.1:{grpc}");
            let by_grpc = move || {
                let builder = SpanExporter::builder().with_tonic().with_endpoint(&endpoint);
                let builder = if gzip { builder.with_compression(Compression::Gzip) } else { builder };
                builder.build().expect("an exporter")
            };
            let endpoint = format!("http://127.0.0.1:{http}/v1/traces");
            let by_http = move || {
                let builder = SpanExporter::builder().with_http().with_endpoint(&endpoint);
                let builder = if gzip { builder.with_compression(Compression::Gzip) } else { builder };
                builder.build().expect("an exporter")
            };
            let more = if gzip { " gzip" } else { "" };
            let grpc = move || by_rust(format!("rust grpc{more}"), "otlp_grpc", &by_grpc);
            sent.push(tokio::task::spawn_blocking(grpc).await.expect("no panic"));
            let http = move || by_rust(format!("rust protobuf{more}"), "otlp_http", &by_http);
            sent.push(tokio::task::spawn_blocking(http).await.expect("no panic"));
        }
        sent
    })
    .await;
}

/// What the programs of `interop` do.
fn by_rust(way: String, protocol: &str, exporter: &dyn Fn() -> SpanExporter) -> Sent {
    let service = |name: &'static str| {
        let resource = Resource::builder_empty().with_attributes([
            KeyValue::new("service.name", name),
            KeyValue::new("service.namespace", "shop"),
            KeyValue::new("deployment.environment.name", "test"),
        ]);
        let provider = SdkTracerProvider::builder().with_resource(resource.build());
        provider.with_batch_exporter(exporter()).build()
    };
    let (gateway, orders) = (service("gateway"), service("orders"));
    let text = |key: &'static str, value: &str| KeyValue::new(key, value.to_owned());
    let mut traces = Vec::new();
    for number in 0..40 {
        let user = format!("{way} {number}");
        let roles = Array::String(vec![StringValue::from("buyer"), StringValue::from("\u{e9}")]);
        let tracer = gateway.tracer("test");
        let entry = tracer.span_builder("GET /orders/{id}").with_kind(SpanKind::Server).with_attributes([
            text("http.request.method", "GET"),
            text("http.route", "/orders/{id}"),
            text("user.id", &user),
            KeyValue::new("user.roles", Attribute::Array(roles)),
            KeyValue::new("retries", 3),
            KeyValue::new("share", 0.5),
            KeyValue::new("cached", false),
        ]);
        let mut entry = entry.start_with_context(&tracer, &Context::new());
        entry.add_event("looked up", vec![KeyValue::new("rows", number)]);
        let root = entry.span_context().clone();
        let within = Context::new().with_remote_span_context(root.clone());
        let call = tracer.span_builder("GET").with_kind(SpanKind::Client);
        let call = call.with_attributes([text("http.request.method", "GET")]);
        let mut call = call.start_with_context(&tracer, &within);
        let local = call.span_context();
        let remote = SpanContext::new(
            local.trace_id(),
            local.span_id(),
            local.trace_flags(),
            true,
            local.trace_state().clone(),
        );
        let tracer = orders.tracer("test");
        let called = tracer.span_builder("GET /{id}").with_kind(SpanKind::Server);
        let called = called.with_attributes([
            text("http.request.method", "GET"),
            text("http.route", "/{id}"),
            text("user.id", &user),
        ]);
        let called = called.with_links(vec![Link::new(root.clone(), vec![text("why", "test")], 0)]);
        let mut called = called.start_with_context(&tracer, &Context::new().with_remote_span_context(remote));
        called.set_status(Status::error("not today"));
        let hop = |span: &SpanContext, service: &str, operation: &str| SentHop {
            span: span.span_id().to_string(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            user: user.clone(),
            start: None,
            end: None,
        };
        let hops = vec![
            hop(&root, "gateway", "GET /orders/{id}"),
            hop(called.span_context(), "orders", "GET /{id}"),
        ];
        traces.push(SentTrace { trace: root.trace_id().to_string(), hops });
        called.end();
        call.end();
        entry.end();
    }
    for provider in [gateway, orders] {
        provider.force_flush().expect("taken");
        provider.shutdown().expect("ended");
    }
    Sent { way, protocol: protocol.to_owned(), spans: 120, traces }
}
