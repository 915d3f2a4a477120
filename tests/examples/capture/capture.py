"""Starts the fleet, sends three requests, stops it, and writes what was traced as one OTLP JSON object.

1. alice checks out: gateway -> orders -> payments, her identity carried in baggage all the way.
2. alice has a charge retried: orders calls payments without the baggage, so her identity is lost there.
3. A load balancer asks the gateway's public health route, as nobody.
"""

import base64
import gzip
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HERE = pathlib.Path(__file__).parent
# Of the resource, only what says which service and SDK: not the machine, its user, paths and process ids.
KEPT = {"service.name", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version"}
# Threads say nothing here and change from run to run.
DROPPED = {"thread.id", "thread.name"}
IDS = ("traceId", "spanId", "parentSpanId")

resources = []


class Receiver(http.server.BaseHTTPRequestHandler):
    """OTLP/HTTP with protobuf, gzip or plain, chunked or not."""

    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers["content-length"]))
        body = b""
        while length := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_POST(self):
        body = self.body()
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest.FromString(body)
        resources.extend(MessageToDict(message, use_integers_for_enums=True)["resourceSpans"])
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(name, process, port):
    for _ in range(300):
        if process.poll() is not None:
            sys.exit(f"{name} ended with {process.returncode} before it listened")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit(f"{name} did not listen within 30 s")


def call(method, url, token=None):
    request = urllib.request.Request(url, method=method)
    if token:
        request.add_header("authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def tidy(resource_spans):
    """The spans of each service, merged and in order of time, ids in hex as OTLP JSON has them."""
    by_service = {}
    for resource in resource_spans:
        attributes = [a for a in resource["resource"]["attributes"] if a["key"] in KEPT]
        attributes.sort(key=lambda attribute: attribute["key"])
        service = next(a["value"]["stringValue"] for a in attributes if a["key"] == "service.name")
        kept = by_service.setdefault(service, {"resource": {"attributes": attributes}, "scopeSpans": {}})
        for scope in resource["scopeSpans"]:
            name = scope["scope"]["name"]
            only = {key: value for key, value in scope["scope"].items() if key in ("name", "version")}
            spans = kept["scopeSpans"].setdefault(name, {"scope": only, "spans": []})["spans"]
            for span in scope["spans"]:
                span.update({key: base64.b64decode(span[key]).hex() for key in IDS if key in span})
                span["attributes"] = [a for a in span.get("attributes", []) if a["key"] not in DROPPED]
                spans.append(span)
    for service in by_service.values():
        service["scopeSpans"] = [service["scopeSpans"][name] for name in sorted(service["scopeSpans"])]
        for scope in service["scopeSpans"]:
            scope["spans"].sort(key=lambda span: int(span["startTimeUnixNano"]))
    return {"resourceSpans": [by_service[name] for name in sorted(by_service)]}


def main(file):
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    ports = {name: free_port() for name in ("payments", "orders", "gateway")}
    url = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    commands = {
        "payments": ["java", f"-javaagent:{os.environ['AGENT']}", "-cp", "java", "Payments"],
        "orders": ["node", "--require", "./tracing.cjs", "orders.cjs"],
        "gateway": [sys.executable, str(HERE / "gateway.py")],
    }
    fleet = {}
    try:
        for name, command in commands.items():
            environment = {
                "PATH": os.environ["PATH"],
                "PORT": str(ports[name]),
                "PAYMENTS": url["payments"],
                "ORDERS": url["orders"],
                "OTEL_SERVICE_NAME": name,
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_PROPAGATORS": "tracecontext,baggage",
                "OTEL_NODE_RESOURCE_DETECTORS": "env",
                "OTEL_JAVA_EXPERIMENTAL_SPAN_ATTRIBUTES_COPY_FROM_BAGGAGE_INCLUDE": "*",
            }
            fleet[name] = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
            wait_for(name, fleet[name], ports[name])
        call("POST", f"{url['gateway']}/checkout", "session-of-alice")
        call("POST", f"{url['gateway']}/orders/17/retry", "session-of-alice")
        call("GET", f"{url['gateway']}/healthz")
    finally:
        for process in fleet.values():
            process.terminate()
        for process in fleet.values():
            process.wait(timeout=30)
    receiver.shutdown()
    pathlib.Path(file).write_text(json.dumps(tidy(resources), indent=1) + "\n")


main(sys.argv[1])
