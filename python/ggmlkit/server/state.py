"""``/health`` and ``/metrics``: how the server is."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.metrics import CONTENT_TYPE
from ggmlkit.server.serving import serving_of


class Health(BaseModel):
    """How the server is."""

    status: Literal["ok", "loading model", "shutting down"]


async def health(request: Request) -> Response:
    """Whether requests are answered: 200, or 503 while the model is loaded or the server ends."""
    serving = serving_of(request)
    status = "ok" if serving.models.is_ready else "loading model"
    if serving.admission.is_draining:
        status = "shutting down"
    return JSONResponse({"status": status}, 200 if status == "ok" else 503)


async def metrics(request: Request) -> Response:
    """Numbers for Prometheus."""
    return Response(serving_of(request).metrics.text(), media_type=CONTENT_TYPE)


ENDPOINTS = (
    Endpoint(
        "GET", "/health", health, "Whether requests are answered.", answer=Health, is_open=True
    ),
    Endpoint("GET", "/v1/health", health, "The same.", answer=Health, is_open=True),
    Endpoint("GET", "/metrics", metrics, "Numbers for Prometheus."),
)
