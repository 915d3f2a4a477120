// Sends spans by the exporters of OpenTelemetry for Node: one line of JSON for each way.
//
//     node send.mjs GRPC HTTP ZIPKIN        ports of this machine; over TLS, and not by Zipkin, where the environment names an authority
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Protobuf } from "@opentelemetry/exporter-trace-otlp-proto";
import { ZipkinExporter } from "@opentelemetry/exporter-zipkin";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const TRACES = 40;
const [grpc, http, zipkin] = process.argv.slice(2);
const secure = "OTEL_EXPORTER_OTLP_CERTIFICATE" in process.env;
const scheme = secure ? "https" : "http";

function service(name, exporter) {
  const resource = resourceFromAttributes({
    "service.name": name,
    "service.namespace": "shop",
    "deployment.environment.name": "test",
  });
  return new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporter())] });
}

function hop(span, service, operation, user) {
  const nanos = ([seconds, nanos]) => String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos));
  const times = { start: nanos(span.startTime), end: nanos(span.endTime) };
  return { span: span.spanContext().spanId, service, operation, user, ...times };
}

async function send(way, protocol, exporter) {
  const [gateway, orders] = ["gateway", "orders"].map((name) => service(name, exporter));
  const traces = [];
  for (let number = 0; number < TRACES; number++) {
    const user = `${way} ${number}`;
    const entry = gateway.getTracer("test").startSpan(
      "GET /orders/{id}",
      {
        kind: SpanKind.SERVER,
        attributes: {
          "http.request.method": "GET", "http.route": "/orders/{id}", "user.id": user,
          "user.roles": ["buyer", "é"], retries: 3, share: 0.5, cached: false,
        },
      },
      ROOT_CONTEXT,
    );
    entry.addEvent("looked up", { rows: number });
    const within = trace.setSpan(ROOT_CONTEXT, entry);
    const client = { kind: SpanKind.CLIENT, attributes: { "http.request.method": "GET" } };
    const call = gateway.getTracer("test").startSpan("GET", client, within);
    const remote = trace.setSpanContext(ROOT_CONTEXT, { ...call.spanContext(), isRemote: true });
    const called = orders.getTracer("test").startSpan(
      "GET /{id}",
      {
        kind: SpanKind.SERVER,
        attributes: { "http.request.method": "GET", "http.route": "/{id}", "user.id": user },
        links: [{ context: entry.spanContext(), attributes: { why: "test" } }],
      },
      remote,
    );
    called.setStatus({ code: SpanStatusCode.ERROR, message: "not today" });
    for (const span of [called, call, entry]) span.end();
    const hops = [hop(entry, "gateway", "GET /orders/{id}", user), hop(called, "orders", "GET /{id}", user)];
    traces.push({ trace: entry.spanContext().traceId, hops });
  }
  for (const provider of [gateway, orders]) {
    await provider.forceFlush();
    await provider.shutdown();
  }
  console.log(JSON.stringify({ way, protocol, spans: 3 * TRACES, traces }));
}

for (const compression of ["none", "gzip"]) {
  const more = compression === "gzip" ? " gzip" : "";
  await send(`node grpc${more}`, "otlp_grpc", () => new Grpc({ url: `${scheme}://127.0.0.1:${grpc}`, compression }));
  const url = `${scheme}://127.0.0.1:${http}/v1/traces`;
  await send(`node protobuf${more}`, "otlp_http", () => new Protobuf({ url, compression }));
  await send(`node json${more}`, "otlp_http", () => new Json({ url, compression }));
}
if (!secure) {
  const url = `http://127.0.0.1:${zipkin}/api/v2/spans`;
  await send("node zipkin", "zipkin", () => new ZipkinExporter({ url }));
}
