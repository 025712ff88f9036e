"""``/tokenize``, ``/detokenize`` and ``/apply-template``: how the model sees texts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.chats import conversation
from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.prompts import chat_prompt
from ggmlkit.chat.shapes import ChatBody
from ggmlkit.chat.validation import Many
from ggmlkit.errors import OutOfRangeError
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.llama_server.errors import LlamaError
from ggmlkit.server.llama_server.mixed_prompts import Mixed, TokenId, mixed_ids
from ggmlkit.server.logs import note
from ggmlkit.server.serving import serving_of
from ggmlkit.server.sse import json_response

if TYPE_CHECKING:
    from ggmlkit.server.loading import ServedModel
    from ggmlkit.text.tokenizer import Tokenizer


class TokenizeBody(BaseModel):
    """A text to tokenize."""

    model_config = ConfigDict(strict=True, extra="ignore")

    content: Mixed = Field("", description="A text, or a list of texts and token ids.")
    model: str | None = Field(None, max_length=1000)
    add_special: bool | None = Field(None, description="Add what goes before and after texts.")
    parse_special: bool | None = Field(None, description="False: names of tokens are plain text.")
    with_pieces: bool | None = None


class DetokenizeBody(BaseModel):
    """Tokens whose text is wanted."""

    model_config = ConfigDict(strict=True, extra="ignore")

    tokens: Many[TokenId] = []
    model: str | None = Field(None, max_length=1000)


class TokenPiece(BaseModel):
    """A token and its text, or its bytes where they are no text."""

    id: int
    piece: str | list[int]


class Tokenized(BaseModel):
    """The tokens of a text."""

    tokens: list[int] | list[TokenPiece]


class Detokenized(BaseModel):
    """The text of tokens."""

    content: str


class TemplateApplied(BaseModel):
    """A conversation as the model takes it."""

    prompt: str


@asynccontextmanager
async def at_hand(request: Request, name: str | None) -> AsyncIterator[ServedModel]:
    """A model that stays loaded for the block, which generates nothing and so waits for nothing.

    Raises:
        RequestError: there is no such model, or the server ends.
    """
    serving = serving_of(request)
    source = serving.models.source(name)
    note(request.scope, model=source.name)
    serving.admission.check_draining()
    async with serving.models.using(source.name) as served:
        yield served


async def tokenize(request: Request) -> Response:
    """Token ids of a text."""
    serving = serving_of(request)
    body = await serving.body(request, TokenizeBody)
    async with at_hand(request, body.model) as served:
        return json_response(await serving.in_thread(partial(_tokenized, served, body)))


def _tokenized(served: ServedModel, body: TokenizeBody) -> dict[str, Any]:
    ids = mixed_ids(
        served,
        body.content,
        add_special=bool(body.add_special),
        parse_special=body.parse_special is not False,
    )
    if not body.with_pieces:
        return {"tokens": ids}
    return {"tokens": [{"id": id, "piece": _piece(served.tokenizer, id)} for id in ids]}


def _piece(tokenizer: Tokenizer, id: int) -> str | list[int]:
    data = token_bytes(tokenizer, [id])
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


async def detokenize(request: Request) -> Response:
    """The text of tokens."""
    serving = serving_of(request)
    body = await serving.body(request, DetokenizeBody)
    async with at_hand(request, body.model) as served:
        work = partial(text_of, served.tokenizer, body.tokens)
        return json_response({"content": await serving.in_thread(work)})


def text_of(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """The text of tokens, with the names of control tokens; invalid UTF-8 becomes U+FFFD."""
    return token_bytes(tokenizer, ids).decode("utf-8", "replace")


def token_bytes(tokenizer: Tokenizer, ids: Iterable[int]) -> bytes:
    """The bytes of tokens, each as it is in the middle of a text.

    Raises:
        RequestError: one is outside the vocabulary.
    """
    try:
        return b"".join(tokenizer.token_bytes(id, special=True) for id in ids)
    except OutOfRangeError as error:
        raise bad_request(str(error), "tokens") from None


async def apply_template(request: Request) -> Response:
    """A conversation as the model takes it."""
    serving = serving_of(request)
    body = await serving.body(request, ChatBody)
    async with at_hand(request, body.model) as served:
        work = partial(chat_prompt, served, conversation(body, serving.terms.variables))
        return json_response({"prompt": (await serving.in_thread(work)).text})


ENDPOINTS = (
    Endpoint(
        "POST", "/tokenize", tokenize, "Tokens of a text.", TokenizeBody, Tokenized, LlamaError
    ),
    Endpoint(
        "POST",
        "/detokenize",
        detokenize,
        "The text of tokens.",
        DetokenizeBody,
        Detokenized,
        LlamaError,
    ),
    Endpoint(
        "POST",
        "/apply-template",
        apply_template,
        "A conversation as the model takes it.",
        ChatBody,
        TemplateApplied,
        LlamaError,
    ),
)
