"""The gateway: knows who calls from the session token, and says so on its span and in baggage."""

import os
import signal
import sys

import requests
from flask import Flask, abort, g, request
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ORDERS = os.environ["ORDERS"]
SESSIONS = {"session-of-alice": "alice"}

provider = TracerProvider()
provider.add_span_processor(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

app = Flask("gateway")
FlaskInstrumentor().instrument_app(app)
RequestsInstrumentor().instrument()


@app.before_request
def authenticate():
    if request.path == "/healthz":
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    user = SESSIONS.get(token) if scheme == "Bearer" else None
    if user is None:
        abort(401)
    trace.get_current_span().set_attribute("enduser.id", user)
    g.attached = context.attach(baggage.set_baggage("enduser.id", user))


@app.teardown_request
def forget(_error):
    if attached := g.pop("attached", None):
        context.detach(attached)


@app.get("/healthz")
def healthz():
    return "ok"


@app.post("/checkout")
def checkout():
    return requests.post(f"{ORDERS}/orders").json()


@app.post("/orders/<order>/retry")
def retry(order):
    return requests.post(f"{ORDERS}/orders/{order}/retry").json()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(provider.shutdown()))
app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
