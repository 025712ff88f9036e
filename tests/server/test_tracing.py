"""Spans of requests."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ggmlkit as gk
from ggmlkit.server.app import create_app
from ggmlkit.server.tracing import provider_from_environment
from running_server import settings_for

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_is_a_span_without_its_texts(chat_gguf: Path) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_app(settings_for(chat_gguf, keys=("sesame",)), tracing=provider)
    body = {"messages": [{"role": "user", "content": "xyzzy"}], "max_tokens": 3}

    async def ask() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            key = {"Authorization": "Bearer sesame", "traceparent": PARENT}
            done = await client.post("/v1/chat/completions", json=body, headers=key)
            assert done.status_code == 200
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 401
            assert (await client.get("/nowhere")).status_code == 404

    asyncio.run(ask())
    answered, refused, unknown = exporter.get_finished_spans()
    assert answered.name == "POST /v1/chat/completions"
    assert answered.parent is not None
    assert f"{answered.parent.trace_id:032x}" in PARENT
    found = dict(answered.attributes or {})
    assert found["http.response.status_code"] == 200
    assert found["gen_ai.request.model"] == "tiny"
    assert found["gen_ai.usage.output_tokens"] == 3
    assert (refused.attributes or {})["http.response.status_code"] == 401
    assert unknown.name == "GET"
    texts = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "xyzzy" not in texts
    assert "sesame" not in texts


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(gk.ArgumentError, match="extra telemetry"):
        provider_from_environment()


def test_where_spans_go_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    provider = provider_from_environment()
    assert provider.resource.attributes["service.name"] == "mine"
    provider.shutdown()
