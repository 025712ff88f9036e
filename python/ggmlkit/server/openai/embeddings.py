"""``/v1/embeddings``: vectors of texts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.errors import bad_request, too_long
from ggmlkit.chat.json_text import as_json
from ggmlkit.engine.embedding import Pooling, embeddings
from ggmlkit.errors import GgmlkitError
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.in_parts import in_parts
from ggmlkit.server.openai.shapes import MOST_INPUTS, EmbeddingBody, EmbeddingList
from ggmlkit.server.serving import serving_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ggmlkit.server.loading import ServedModel


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
        work = partial(_vectors, served, serving.settings.pooling)
        vectors = await unless_gone(request.receive, in_parts(serving, served, ids, work))
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
    most = served.most_tokens
    found: list[list[int]] = []
    for place, each in enumerate(inputs):
        try:
            ids = served.model.prompt_ids(each)
        except GgmlkitError as error:
            raise bad_request(f"input[{place}]: {error}", "input") from None
        if len(ids) > most:
            raise bad_request(
                too_long(f"input[{place}]", len(ids), most),
                "input",
                "context_length_exceeded",
            )
        found.append(ids)
    return found


def _vectors(
    served: ServedModel, pooling: Pooling, ids: Sequence[list[int]]
) -> list[NDArray[np.float32]]:
    return list(embeddings(served.model, served.adapter, ids, pooling, True, served.portions))


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
