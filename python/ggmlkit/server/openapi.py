"""The document of the API, OpenAPI 3.1, made of the endpoints and their bodies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ggmlkit._version import __version__
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.errors import status_for
from ggmlkit.server.openai.shapes import ErrorShape

_PLACE: Final = "#/components/schemas/{model}"
_ERRORS: Final = {
    "400": "The request is wrong.",
    "401": "No key, or an unknown one.",
    "404": "There is no such model.",
    "408": "The body came too slowly.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "Too many answers wait.",
    "500": "The server failed.",
    "501": "The model, or this server, can't do this.",
    "503": "The server is loading a model, is full, or is shutting down.",
}
# Of a stream, each event.
_EVENT: Final = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
_OF_BODIES: Final = frozenset({"408", "413", "415", "429"})


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document of some endpoints."""
    Mode = Literal["validation", "serialization"]
    inputs: list[tuple[type[BaseModel], Mode]] = [
        (each.body, "validation") for each in endpoints if each.body is not None
    ]
    outputs: list[tuple[type[BaseModel], Mode]] = [
        (each.answer, "serialization") for each in endpoints if each.answer is not None
    ]
    outputs += [(each.error or ErrorShape, "serialization") for each in endpoints]
    names, schemas = models_json_schema(
        list(dict.fromkeys([*inputs, *outputs])), ref_template=_PLACE
    )
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, path, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ggmlkit", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, path: str, names: Any) -> dict[str, Any]:
    def schema(model: type[BaseModel], mode: str) -> dict[str, Any]:
        return {"schema": names[(model, mode)]}

    content: dict[str, Any] = {}
    if endpoint.answer is not None:
        content["application/json"] = schema(endpoint.answer, "serialization")
    if endpoint.streams:
        content["text/event-stream"] = {"schema": _EVENT}
    responses = {"200": {"description": "Done.", "content": content or {"text/plain": {}}}}
    is_health = endpoint.is_open and endpoint.answer is not None
    for status, meaning in _ERRORS.items():
        if status in _OF_BODIES and endpoint.body is None:
            continue
        model = endpoint.answer if is_health and status == "503" else None
        model = model or endpoint.error or ErrorShape
        responses[str(status_for(int(status), endpoint.path))] = {
            "description": meaning,
            "content": {"application/json": schema(model, "serialization")},
        }
    found: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}{re.sub(r'[^a-z0-9]+', '_', path)}".rstrip("_"),
        "summary": endpoint.summary,
        "responses": responses,
        "security": [] if endpoint.is_open else [{"key": []}, {}],
    }
    if endpoint.body is not None:
        body = {"application/json": schema(endpoint.body, "validation")}
        found["requestBody"] = {"required": True, "content": body}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    if endpoint.query is not None:
        parameters += _query(endpoint.query)
    if parameters:
        found["parameters"] = parameters
    return found


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    properties = model.model_json_schema(ref_template=_PLACE)["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]
