"""``/lora-adapters``: the adapters that the server was started with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, RootModel
from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.llama_server.answers import json_answer
from ggmlkit.server.llama_server.errors import LlamaError, unsupported
from ggmlkit.server.serving import Serving, serving_of

if TYPE_CHECKING:
    from ggmlkit.server.llama_server.shapes import LoraScale


class LoraAdapter(BaseModel):
    """An adapter; its path is its name alone."""

    id: int
    path: str
    scale: float


class LoraAdapters(RootModel[list[LoraAdapter]]):
    """The adapters of the first model."""


async def lora_adapters(request: Request) -> Response:
    """List the adapters of the first model."""
    loras = serving_of(request).settings.engine.lora
    return json_answer(
        [
            {"id": id, "path": Path(path).stem, "scale": scale}
            for id, (path, scale) in enumerate(loras)
        ]
    )


async def set_lora_adapters(_: Request) -> Response:
    """Refuse other scales."""
    raise unsupported("adapters keep the scales that the server was started with (--lora)")


def check_loras(serving: Serving, model: str, asked: Sequence[LoraScale] | None) -> None:
    """Raise RequestError if a request wants other adapters, or other scales, than there are."""
    if asked is None:
        return
    is_first = serving.models.source(None).name == model
    loras = serving.settings.engine.lora if is_first else ()
    there = {id: scale for id, (_, scale) in enumerate(loras) if scale}
    if {each.id: each.scale for each in asked if each.scale} != there:
        raise unsupported(
            "lora asks for other adapters than the server was started with: leave it out, or give "
            "what /lora-adapters lists"
        )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/lora-adapters",
        lora_adapters,
        "List the adapters of the first model.",
        answer=LoraAdapters,
        error=LlamaError,
    ),
    Endpoint(
        "POST",
        "/lora-adapters",
        set_lora_adapters,
        "Refused: adapters keep their scales.",
        error=LlamaError,
    ),
)
