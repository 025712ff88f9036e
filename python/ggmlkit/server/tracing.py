"""A span of OpenTelemetry for each request, by an extra."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers

from ggmlkit.errors import ArgumentError
from ggmlkit.server.logs import ENDPOINT, notes_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MISSING: Final = (
    "tracing needs the extra telemetry, the package {}: in a clone of ggmlkit, "
    'pip install ".[telemetry]"'
)
# Names of https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
_ATTRIBUTES: Final = {
    "model": "gen_ai.request.model",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "tokens": "gen_ai.usage.output_tokens",
}


def provider_from_environment() -> TracerProvider:
    """Sends spans by OTLP over HTTP, to where the variables ``OTEL_EXPORTER_OTLP_…`` say.

    Raises:
        ArgumentError: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ArgumentError(_MISSING.format(error.name)) from None
    name = os.environ.get("OTEL_SERVICE_NAME", "ggmlkit")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Tracing:
    """Middleware that makes a span of each request; it has no prompt, answer or key.

    Args:
        provider: of the tracer.
    """

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._tracer = provider.get_tracer("ggmlkit.server")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        parent = extract(dict(Headers(scope=scope).items()))
        with self._tracer.start_as_current_span(
            scope["method"], context=parent, kind=SpanKind.SERVER
        ) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            try:
                await self._app(scope, receive, noted)
            finally:
                _describe(span, scope)


def _describe(span: Span, scope: Scope) -> None:
    route = scope.get(ENDPOINT)
    span.set_attribute("http.request.method", scope["method"])
    if route is not None:
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
    notes: dict[str, Any] = notes_of(scope)
    for note, name in _ATTRIBUTES.items():
        if note in notes:
            span.set_attribute(name, notes[note])
