"""``/v1/rerank``: which documents answer a query best."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.validation import Many
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.in_parts import in_parts
from ggmlkit.server.llama_server.answers import json_answer
from ggmlkit.server.llama_server.errors import LlamaError
from ggmlkit.server.llama_server.ranking import INSTRUCTION, question, scores
from ggmlkit.server.serving import serving_of

_MOST_DOCUMENTS: Final = 2048


class Document(BaseModel):
    """A document in an object."""

    model_config = ConfigDict(strict=True, extra="ignore")

    text: str


class RerankBody(BaseModel):
    """A query and documents; ``texts`` is the name of documents in TEI's API."""

    model_config = ConfigDict(strict=True, extra="ignore")

    query: str = Field(min_length=1)
    documents: Many[str | Document] | None = Field(None, max_length=_MOST_DOCUMENTS)
    texts: Many[str | Document] | None = Field(None, max_length=_MOST_DOCUMENTS)
    model: str | None = Field(None, max_length=1000)
    top_n: int | None = Field(None, ge=1)
    return_documents: bool | None = None
    return_text: bool | None = Field(None, description="The same, with texts.")
    instruction: str | None = Field(None, description="What makes a document a good one.")


class RankedDocument(BaseModel):
    """How well a document answers; ``relevance_score`` is ``score`` in TEI's API."""

    index: int
    relevance_score: float | None = None
    score: float | None = None
    document: Document | None = None
    text: str | None = None


class RerankUsage(BaseModel):
    """Tokens of a request."""

    prompt_tokens: int
    total_tokens: int


class Ranking(BaseModel):
    """The documents, those that answer best first."""

    object: str
    model: str
    usage: RerankUsage
    results: list[RankedDocument]


class Rankings(RootModel[Ranking | list[RankedDocument]]):
    """The documents, those that answer best first; with texts, a list as in TEI's API."""


async def rerank(request: Request) -> Response:
    """Order documents by how well they answer a query."""
    serving = serving_of(request)
    body = await serving.body(request, RerankBody)
    documents = _documents(body)
    variables = serving.settings.template_variables
    instruction = body.instruction or INSTRUCTION
    async with serving.admitted(request, body.model) as served:
        asked = await serving.in_thread(
            partial(question, served, body.query, documents, instruction, variables)
        )
        found = await unless_gone(
            request.receive,
            in_parts(
                serving, served, asked.prompts, lambda part: list(scores(served, asked, part))
            ),
        )
        tokens = sum(map(len, asked.prompts))
        return json_answer(_answer(body, served.name, documents, found, tokens))


def _documents(body: RerankBody) -> list[str]:
    given = body.texts if body.documents is None else body.documents
    if not given:
        raise bad_request("documents must have at least one text", "documents")
    return [each if isinstance(each, str) else each.text for each in given]


def _answer(
    body: RerankBody, model: str, documents: list[str], found: list[float], tokens: int
) -> Any:
    order = sorted(range(len(found)), key=lambda place: -found[place])[: body.top_n]
    if body.texts is not None and body.documents is None:
        return [
            {
                "index": place,
                "score": found[place],
                **({"text": documents[place]} if body.return_text else {}),
            }
            for place in order
        ]
    results = [
        {
            "index": place,
            "relevance_score": found[place],
            **({"document": {"text": documents[place]}} if body.return_documents else {}),
        }
        for place in order
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": model, "usage": usage, "results": results}


ENDPOINTS = tuple(
    Endpoint(
        "POST",
        path,
        rerank,
        "Order documents by how well they answer a query.",
        RerankBody,
        Rankings,
        LlamaError,
    )
    for path in ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking")
)
