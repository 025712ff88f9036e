"""``/v1/models``: what is served."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.openai.shapes import ModelList, ModelShape
from ggmlkit.server.serving import serving_of
from ggmlkit.server.settings import ModelSource
from ggmlkit.server.sse import json_response


async def models(request: Request) -> Response:
    """List the models."""
    serving = serving_of(request)
    listed = [_shape(source, serving.started_at) for source in serving.models.sources]
    return json_response({"object": "list", "data": listed})


async def model(request: Request) -> Response:
    """Describe a model."""
    serving = serving_of(request)
    source = serving.models.source(request.path_params["name"])
    return json_response(_shape(source, serving.started_at))


def _shape(source: ModelSource, created: int) -> dict[str, Any]:
    return {"id": source.name, "object": "model", "created": created, "owned_by": "ggmlkit"}


ENDPOINTS = (
    Endpoint("GET", "/v1/models", models, "List the models that are served.", answer=ModelList),
    Endpoint("GET", "/v1/models/{name:path}", model, "Describe a model.", answer=ModelShape),
)
