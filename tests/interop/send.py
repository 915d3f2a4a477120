"""Sends spans by the exporters of OpenTelemetry for Python, and by an old client of Zipkin: one line of JSON for each way.

    send.py GRPC HTTP ZIPKIN        ports of this machine; over TLS, and not by Zipkin, where the environment names an authority
"""

import json
import os
import sys
import time

from grpc import Compression as GrpcCompression
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.http.trace_exporter import Compression as JsonCompression
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as Json
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode
from py_zipkin import Encoding, Kind
from py_zipkin.transport import SimpleHTTPTransport
from py_zipkin.zipkin import ZipkinAttrs, zipkin_span

TRACES = 40
GRPC, HTTP, ZIPKIN = sys.argv[1:]
SECURE = "OTEL_EXPORTER_OTLP_CERTIFICATE" in os.environ
SCHEME = "https" if SECURE else "http"
GRPC_URL, TRACE_URL = f"{SCHEME}://127.0.0.1:{GRPC}", f"{SCHEME}://127.0.0.1:{HTTP}/v1/traces"
ZIPKIN_URL = f"http://127.0.0.1:{ZIPKIN}/api/v2/spans"


def service(name, exporter):
    resource = Resource.create(
        {"service.name": name, "service.namespace": "shop", "deployment.environment.name": "test"}
    )
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter()))
    return provider


def hop(span, service, operation, user):
    context = span.get_span_context()
    times = {"start": str(span.start_time), "end": str(span.end_time)}
    return {"span": f"{context.span_id:016x}", "service": service, "operation": operation, "user": user, **times}


def send(way, protocol, exporter):
    gateway, orders = service("gateway", exporter), service("orders", exporter)
    traces = []
    for number in range(TRACES):
        user = f"{way} {number}"
        entry = gateway.get_tracer("test").start_span(
            "GET /orders/{id}",
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": "GET", "http.route": "/orders/{id}", "user.id": user,
                "user.roles": ["buyer", "é"], "retries": 3, "share": 0.5, "cached": False,
            },
        )  # fmt: skip
        entry.add_event("looked up", {"rows": number})
        call = gateway.get_tracer("test").start_span(
            "GET", kind=SpanKind.CLIENT, context=trace.set_span_in_context(entry), attributes={"http.request.method": "GET"}
        )
        local = call.get_span_context()
        remote = SpanContext(local.trace_id, local.span_id, is_remote=True, trace_flags=local.trace_flags)
        called = orders.get_tracer("test").start_span(
            "GET /{id}",
            kind=SpanKind.SERVER,
            context=trace.set_span_in_context(NonRecordingSpan(remote)),
            attributes={"http.request.method": "GET", "http.route": "/{id}", "user.id": user},
            links=[Link(entry.get_span_context(), {"why": "test"})],
        )
        called.set_status(Status(StatusCode.ERROR, "not today"))
        for span in (called, call, entry):
            span.end()
        hops = [hop(entry, "gateway", "GET /orders/{id}", user), hop(called, "orders", "GET /{id}", user)]
        traces.append({"trace": f"{entry.get_span_context().trace_id:032x}", "hops": hops})
    for provider in (gateway, orders):
        assert provider.force_flush()
        provider.shutdown()
    print(json.dumps({"way": way, "protocol": protocol, "spans": 3 * TRACES, "traces": traces}))


def send_by_old_zipkin(way, encoding, base):
    """Trace ids of 64 bits, span ids that client and server share, times in microseconds."""
    sent, traces = SimpleHTTPTransport("127.0.0.1", int(ZIPKIN)), []
    sent.path = "/api/v2/spans"
    for number in range(TRACES):
        user, trace_id, shared = f"{way} {number}", f"{base + number:016x}", f"{0xC0 + number:016x}"
        entry = f"{0x1000 + number:016x}"
        common = {"transport_handler": sent, "encoding": encoding, "port": 80}
        began = time.time()
        with zipkin_span(
            service_name="gateway", span_name="get /orders", kind=Kind.SERVER, binary_annotations={"user.id": user},
            zipkin_attrs=ZipkinAttrs(trace_id, entry, None, "0", True), timestamp=began, duration=0.25, **common,
        ):  # fmt: skip
            pass
        for name, kind in (("gateway", Kind.CLIENT), ("orders", Kind.SERVER)):
            with zipkin_span(
                service_name=name, span_name="get /", kind=kind, binary_annotations={"user.id": user},
                zipkin_attrs=ZipkinAttrs(trace_id, shared, entry, "0", True), timestamp=began, duration=0.125, **common,
            ):  # fmt: skip
                pass
        hops = [
            {"span": span, "service": name, "operation": operation, "user": user}
            for span, name, operation in ((entry, "gateway", "get /orders"), (shared, "orders", "get /"))
        ]
        traces.append({"trace": trace_id.zfill(32), "hops": hops})
    print(json.dumps({"way": way, "protocol": "zipkin", "spans": 3 * TRACES, "traces": traces}))


send("python grpc", "otlp_grpc", lambda: Grpc(endpoint=GRPC_URL))
gzip = {"compression": GrpcCompression.Gzip}
send("python grpc gzip", "otlp_grpc", lambda: Grpc(endpoint=GRPC_URL, **gzip))
send("python protobuf", "otlp_http", lambda: Http(endpoint=TRACE_URL))
send("python protobuf gzip", "otlp_http", lambda: Http(endpoint=TRACE_URL, compression=Compression.Gzip))
send("python json", "otlp_http", lambda: Json(endpoint=TRACE_URL))
send("python json gzip", "otlp_http", lambda: Json(endpoint=TRACE_URL, compression=JsonCompression.GZIP))
if not SECURE:
    send("python zipkin", "zipkin", lambda: ZipkinExporter(endpoint=ZIPKIN_URL))
    send_by_old_zipkin("python py-zipkin", Encoding.V2_JSON, 0x4F963453544B0000)
    send_by_old_zipkin("python py-zipkin protobuf", Encoding.V2_PROTO3, 0x5F963453544B0000)
