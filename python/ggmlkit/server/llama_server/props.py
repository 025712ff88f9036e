"""``/props`` and ``/models``: what is served, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from ggmlkit._version import __version__
from ggmlkit.chat.errors import busy
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.llama_server.answers import json_answer
from ggmlkit.server.llama_server.errors import LlamaError, unsupported
from ggmlkit.server.llama_server.generation_settings import sampling_settings
from ggmlkit.server.openai.models import models
from ggmlkit.server.openai.shapes import ModelList
from ggmlkit.server.serving import Serving, serving_of

if TYPE_CHECKING:
    from ggmlkit.server.loading import ServedModel

_MODALITIES: Final = {"vision": False, "audio": False, "video": False}


class Props(BaseModel):
    """What is served, and how."""

    model_config = ConfigDict(extra="allow")

    default_generation_settings: dict[str, Any]
    total_slots: int
    model_alias: str
    model_path: str
    modalities: dict[str, bool]
    chat_template: str
    bos_token: str
    eos_token: str
    build_info: str
    is_sleeping: bool


async def props(request: Request) -> Response:
    """What is served, and how; ``?model=NAME`` for another model than the first."""
    serving = serving_of(request)
    name = request.query_params.get("model")
    served = served_now(serving, name)
    return json_answer(_props(serving, serving.models.source(name).name, served))


def served_now(serving: Serving, name: str | None) -> ServedModel | None:
    """The model with a name, None if it is not loaded now.

    Raises:
        RequestError: there is none, or the server is still loading its first model.
    """
    served = serving.models.loaded(name)
    if served is None and not serving.models.is_ready:
        raise busy(503, "the model is being loaded", "loading_model")
    return served


def _props(serving: Serving, name: str, served: ServedModel | None) -> dict[str, Any]:
    """The properties; of a model that is not loaded, those that are known without it."""
    return {
        "default_generation_settings": {
            "params": {**sampling_settings(SamplingParams()), "stream": False},
            "n_ctx": context_of(serving, served),
        },
        "total_slots": serving.settings.engine.parallel,
        "model_alias": name,
        "model_path": name,  # clients are told no file names
        "modalities": _MODALITIES,
        "endpoint_slots": True,
        "endpoint_props": False,
        "endpoint_metrics": True,
        "build_info": f"ggmlkit-{__version__}",
        "is_sleeping": served is None,
        **_texts(served),
    }


def context_of(serving: Serving, served: ServedModel | None) -> int:
    """Tokens that a request may have; 0 where that is not known before the model is loaded."""
    return serving.settings.engine.context or 0 if served is None else served.most_tokens


def _texts(served: ServedModel | None) -> dict[str, Any]:
    """The template, and the tokens that begin and end texts."""
    chat = None if served is None else served.chat
    special = {} if served is None else served.tokenizer.special_texts
    takes_tools = chat is not None and chat.takes_tools
    return {
        "chat_template": "" if chat is None else chat.template,
        "chat_template_caps": {
            "supports_tools": takes_tools,
            "supports_tool_calls": takes_tools,
        },
        "bos_token": special.get("bos_token", ""),
        "eos_token": special.get("eos_token", ""),
    }


async def set_props(_: Request) -> Response:
    """Refuse to change properties."""
    raise unsupported("properties can't be changed while the server runs")


ENDPOINTS = (
    Endpoint("GET", "/props", props, "What is served, and how.", answer=Props, error=LlamaError),
    Endpoint(
        "POST", "/props", set_props, "Refused: properties can't be changed.", error=LlamaError
    ),
    Endpoint(
        "GET", "/models", models, "List the models that are served.", None, ModelList, LlamaError
    ),
)
