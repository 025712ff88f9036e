"""``/slots``: the answers that are generated now, never what they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, RootModel
from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.errors import busy
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.llama_server.answers import json_answer
from ggmlkit.server.llama_server.errors import LlamaError, unsupported
from ggmlkit.server.llama_server.generation_settings import sampling_settings
from ggmlkit.server.llama_server.props import context_of, served_now
from ggmlkit.server.serving import serving_of

if TYPE_CHECKING:
    from ggmlkit.server.generating import RunningChoice


class Slot(BaseModel):
    """An answer that is generated, or the room for one."""

    model_config = ConfigDict(extra="allow")

    id: int
    n_ctx: int
    speculative: bool
    is_processing: bool
    n_prompt_tokens: int | None = None
    n_prompt_tokens_processed: int | None = None
    n_prompt_tokens_cache: int | None = None
    params: dict[str, Any] | None = None
    next_token: list[dict[str, Any]] | None = None


class Slots(RootModel[list[Slot]]):
    """The answers of a model."""


async def slots(request: Request) -> Response:
    """The answers that are generated now, and the room for more of them.

    An answer has no slot of its own: those that began first come first.
    """
    serving = serving_of(request)
    name = request.query_params.get("model")
    served, source = served_now(serving, name), serving.models.source(name)
    running = [each for found in serving.generations(source.name) for each in found.running]
    count = max(serving.settings.engine.parallel, len(running))
    if request.query_params.get("fail_on_no_slot") and len(running) == count:
        raise busy(503, "as many answers are generated as can be", "no_slot")
    room = {
        "n_ctx": context_of(serving, served),
        "speculative": serving.settings.engine.lookup,
        "is_processing": False,
    }
    listed: list[dict[str, Any]] = [{"id": id, **room} for id in range(count)]
    for slot, choice in zip(listed, running, strict=False):
        slot |= _state(choice)
    return json_answer(listed)


def _state(choice: RunningChoice) -> dict[str, Any]:
    """What is told of an answer."""
    most = choice.params.max_tokens
    return {
        "is_processing": True,
        "n_prompt_tokens": choice.prompt_tokens,
        "n_prompt_tokens_processed": choice.stats.prompt_tokens,
        "n_prompt_tokens_cache": choice.stats.cached_tokens,
        "params": sampling_settings(choice.params),
        "next_token": [
            {
                "has_next_token": True,
                "n_remain": -1 if most is None else most - choice.tokens,
                "n_decoded": choice.tokens,
            }
        ],
    }


async def change_slot(_: Request) -> Response:
    """Refuse to save, restore or erase."""
    raise unsupported("what is cached can't be saved, restored or erased: all answers share it")


ENDPOINTS = (
    Endpoint(
        "GET",
        "/slots",
        slots,
        "The answers that are generated now.",
        answer=Slots,
        error=LlamaError,
    ),
    Endpoint(
        "POST",
        "/slots/{id}",
        change_slot,
        "Refused: what is cached is shared.",
        error=LlamaError,
    ),
)
