"""``/embedding``: vectors of texts, or of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.errors import bad_request
from ggmlkit.engine.embedding import Pooling, embeddings
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.in_parts import in_parts
from ggmlkit.server.llama_server.answers import json_answer
from ggmlkit.server.llama_server.errors import LlamaError
from ggmlkit.server.llama_server.mixed_prompts import Prompts, each_prompt, fitting_ids
from ggmlkit.server.serving import serving_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.server.loading import ServedModel

_EUCLIDEAN: Final = 2
_MOST_NUMBERS: Final = 2**22  # of an answer, each of some 20 characters
_LARGEST: Final = 32760  # what llama.cpp scales the largest value to, of 16 bits


class NativeEmbeddingBody(BaseModel):
    """A request for vectors of texts; ``content`` and ``input`` are two names of one field."""

    model_config = ConfigDict(strict=True, extra="ignore")

    content: Prompts | None = None
    input: Prompts | None = None
    model: str | None = Field(None, max_length=1000)
    embd_normalize: int | None = Field(
        None,
        ge=-1,
        le=64,
        description="-1: as they are, 0: by the largest value, else by this norm (2: Euclidean).",
    )
    pooling: Literal["mean", "last", "none"] | None = Field(
        None, description="none: a vector of each token, as it is."
    )


class NativeEmbedding(BaseModel):
    """The vector of a text, or those of its tokens."""

    index: int
    embedding: list[list[float]]


class NativeEmbeddings(RootModel[list[NativeEmbedding]]):
    """The vectors of some texts."""


async def embed(request: Request) -> Response:
    """Make vectors of texts."""
    serving = serving_of(request)
    body = await serving.body(request, NativeEmbeddingBody)
    name = "content" if body.input is None else "input"
    given = body.content if body.input is None else body.input
    if given is None:
        raise bad_request("there is neither content nor input", "content")
    prompts = each_prompt(given, name)
    pooling: Pooling = body.pooling or serving.settings.pooling
    norm = _EUCLIDEAN if body.embd_normalize is None else body.embd_normalize

    async with serving.admitted(request, body.model) as served:

        def ids_of_each() -> list[list[int]]:
            ids = [fitting_ids(served, prompt, name) for prompt in prompts]
            _check_numbers(served, ids, pooling)
            return ids

        ids = await serving.in_thread(ids_of_each)
        work = partial(_vectors, served, pooling, norm)
        vectors = await unless_gone(request.receive, in_parts(serving, served, ids, work))
        return await serving.in_thread(partial(_answer, vectors))


def _check_numbers(served: ServedModel, ids: list[list[int]], pooling: Pooling) -> None:
    rows = sum(map(len, ids)) if pooling == "none" else len(ids)
    if rows * served.model.config.dim > _MOST_NUMBERS:
        raise bad_request(
            f"{rows} vectors of {served.model.config.dim} numbers are too many for one answer: "
            "send fewer texts"
        )


def _vectors(
    served: ServedModel, pooling: Pooling, norm: int, ids: Sequence[list[int]]
) -> list[NDArray[np.float32]]:
    """Of each text float32 ``(1, dim)``, or ``(tokens, dim)`` with pooling "none"."""
    found = embeddings(served.model, served.adapter, ids, pooling, False, served.portions)
    if pooling == "none":
        return list(found)
    return [normed(vector, norm)[np.newaxis] for vector in found]


def normed(vector: NDArray[np.float32], norm: int) -> NDArray[np.float32]:
    """A vector, divided as llama.cpp's ``embd_normalize`` says; one of zeros stays so.

    Args:
        norm: -1: not at all; 0: so that its largest value is 32760; else by this norm.
    """
    if norm < 0:
        return vector
    sizes = np.abs(vector, dtype=np.float64)
    largest = sizes.max()
    if largest == 0:
        return vector
    if norm == 0:
        length = largest / _LARGEST
    else:  # of shares, whose powers are finite
        length = largest * ((sizes / largest) ** norm).sum() ** (1 / norm)
    found: NDArray[np.float32] = (vector / length).astype(np.float32)
    return found


def _answer(vectors: list[NDArray[np.float32]]) -> Response:
    found: list[dict[str, Any]] = [
        {"index": place, "embedding": rows.tolist()} for place, rows in enumerate(vectors)
    ]
    return json_answer(found)


ENDPOINTS = tuple(
    Endpoint(
        "POST",
        path,
        embed,
        "Make vectors of texts, or of their tokens.",
        NativeEmbeddingBody,
        NativeEmbeddings,
        LlamaError,
    )
    for path in ("/embedding", "/embeddings")
)
