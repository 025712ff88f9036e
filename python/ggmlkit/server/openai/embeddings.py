"""``/v1/embeddings``: vectors of texts."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.engine.embedding import embeddings
from ggmlkit.errors import CacheFullError, GgmlkitError
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.errors import as_request_error, bad_request
from ggmlkit.server.openai.shapes import MOST_INPUTS, EmbeddingBody, EmbeddingList
from ggmlkit.server.serving import Serving, serving_of
from ggmlkit.server.sse import as_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ggmlkit.server.loading import ServedModel

_AT_ONCE: Final = 16  # texts of which a thread makes vectors before it sees who went away
_TRIES: Final = 40  # while answers fill the cache
_PAUSE: Final = 0.25  # seconds between them


async def embed(request: Request) -> Response:
    """Make vectors of texts."""
    serving = serving_of(request)
    body = await serving.body(request, EmbeddingBody)
    inputs = _inputs(body)
    async with serving.admitted(request, body.model) as served:
        if body.dimensions not in (None, served.model.config.dim):
            raise bad_request(
                f"dimensions is {body.dimensions}, but vectors of this model have "
                f"{served.model.config.dim}",
                "dimensions",
            )
        ids = await serving.in_thread(partial(_ids, served, inputs))
        vectors = await unless_gone(request.receive, _vectors(serving, served, ids))
        data = await serving.in_thread(partial(_encoded, body, served.name, ids, vectors))
        return Response(data, media_type="application/json")


def _inputs(body: EmbeddingBody) -> list[str | list[int]]:
    """Each input, a text or token ids."""
    given = body.input
    found: list[Any] = (
        [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else list(given)
    )
    if not found or len(found) > MOST_INPUTS:
        raise bad_request(f"input must have from 1 to {MOST_INPUTS} texts", "input")
    return found


def _ids(served: ServedModel, inputs: list[str | list[int]]) -> list[list[int]]:
    """Token ids of each input.

    Raises:
        RequestError: one is empty, too long, or has a token outside the vocabulary.
    """
    most = min(served.model.context, served.model.cache_tokens)
    found: list[list[int]] = []
    for place, each in enumerate(inputs):
        try:
            ids = served.model.prompt_ids(each)
        except GgmlkitError as error:
            raise bad_request(f"input[{place}]: {error}", "input") from None
        if len(ids) > most:
            raise bad_request(
                f"input[{place}] of {len(ids)} tokens is longer than the {most} tokens that one "
                "text may have",
                "input",
                "context_length_exceeded",
            )
        found.append(ids)
    return found


async def _vectors(
    serving: Serving, served: ServedModel, ids: list[list[int]]
) -> list[NDArray[np.float32]]:
    """A vector of each text; waits where answers fill the cache.

    Raises:
        RequestError: there is no room for a long time, or the model fails.
    """
    found: list[NDArray[np.float32]] = []
    tries = 0
    while len(found) < len(ids):
        part = ids[len(found) : len(found) + _AT_ONCE]
        work: Callable[[], list[NDArray[np.float32]]] = partial(
            _part, served, part, serving.settings.pooling
        )
        try:
            found += await to_thread.run_sync(work, limiter=serving.embedders)
            tries = 0
        except CacheFullError as error:
            tries += 1
            if tries >= _TRIES:
                raise as_request_error(error, served.path, served.name) from None
            await asyncio.sleep(_PAUSE)
        except GgmlkitError as error:
            raise as_request_error(error, served.path, served.name) from None
    return found


def _part(served: ServedModel, ids: list[list[int]], pooling: Any) -> list[NDArray[np.float32]]:
    return list(embeddings(served.model, served.adapter, ids, pooling, True))


def _encoded(
    body: EmbeddingBody, name: str, ids: list[list[int]], vectors: list[NDArray[np.float32]]
) -> bytes:
    tokens = sum(map(len, ids))
    data = [
        {"object": "embedding", "index": place, "embedding": _shape(body, vector)}
        for place, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return as_json({"object": "list", "data": data, "model": name, "usage": usage}).encode()


def _shape(body: EmbeddingBody, vector: NDArray[np.float32]) -> str | list[float]:
    if body.encoding_format == "base64":
        return b64encode(vector.astype("<f4").tobytes()).decode()
    found: list[float] = vector.tolist()
    return found


ENDPOINTS = (
    Endpoint(
        "POST", "/v1/embeddings", embed, "Make vectors of texts.", EmbeddingBody, EmbeddingList
    ),
)
