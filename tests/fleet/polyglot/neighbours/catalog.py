"""`catalog`: asks `pricing` what something costs. It knows of OpenTelemetry and of no identity: baggage passes through it unread, and
onto its spans by the ordinary processor."""

import os

import httpx
import uvicorn
from fastapi import FastAPI, Request
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

PRICING = os.environ["PRICING"]

provider = TracerProvider()
provider.add_span_processor(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
HTTPXClientInstrumentor().instrument()

app = FastAPI()
client = httpx.AsyncClient(trust_env=False, timeout=20)


@app.get("/items/{number}")
async def item(number: str, request: Request):
    answer = await client.get(f"{PRICING}/prices/{number}", params=request.query_params)
    answer.raise_for_status()
    return answer.text


FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
