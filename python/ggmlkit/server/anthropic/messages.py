"""``/v1/messages``: the next message of a conversation, and the tokens of its prompt."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.jobs import conversation_job
from ggmlkit.chat.prompts import chat_prompt
from ggmlkit.chat.sampling_fields import settings_of, stops_of
from ggmlkit.server.anthropic.answers import PING, Answer
from ggmlkit.server.anthropic.conversation import conversation
from ggmlkit.server.anthropic.errors import PATH, error_event
from ggmlkit.server.anthropic.shapes import (
    CountBody,
    MessageBody,
    MessageError,
    MessageShape,
    TokenCount,
)
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.serving import Serving, serving_of
from ggmlkit.server.sse import EventStream, json_response

if TYPE_CHECKING:
    from ggmlkit.chat.jobs import Job, Terms
    from ggmlkit.server.loading import ServedModel


async def messages(request: Request) -> Response:
    """Answer a conversation."""
    serving = serving_of(request)
    body = await serving.body(request, MessageBody)
    stops = stops_of(body.stop_sequences, "stop_sequences")
    async with AsyncExitStack() as stack:
        generation = await stack.enter_async_context(
            serving.generation(request, body.model, partial(_job, body=body, stops=stops))
        )
        hides = body.thinking is not None and body.thinking.display == "omitted"
        answer = Answer(generation.model, generation, stops, hides)
        if body.stream:
            return EventStream(answer.events(), stack.pop_all(), error_event, PING)
        return json_response(await unless_gone(request.receive, answer.whole()))


async def count_tokens(request: Request) -> Response:
    """Count the tokens of a prompt."""
    serving = serving_of(request)
    body = await serving.body(request, CountBody)
    async with serving.admitted(request, body.model) as served:
        count = await serving.in_thread(partial(_prompt_tokens, serving, served, body))
    return json_response({"input_tokens": count})


def _prompt_tokens(serving: Serving, served: ServedModel, body: CountBody) -> int:
    asked = conversation(body, serving.terms.variables)
    return len(chat_prompt(served, asked).ids)


def _job(terms: Terms, served: ServedModel, body: MessageBody, stops: tuple[str, ...]) -> Job:
    own = settings_of(body, served.tokenizer)
    own["stop"] = (*own.get("stop", ()), *stops)
    asked = conversation(body, terms.variables)
    return conversation_job(
        terms, served, asked, own, most_tokens=body.max_tokens, uses_cache=body.uses_cache
    )


ENDPOINTS = (
    Endpoint(
        "POST",
        PATH,
        messages,
        "Answer a conversation, as Anthropic's API does.",
        MessageBody,
        MessageShape,
        streams=True,
        error=MessageError,
    ),
    Endpoint(
        "POST",
        f"{PATH}/count_tokens",
        count_tokens,
        "Count the tokens of a conversation.",
        CountBody,
        TokenCount,
        error=MessageError,
    ),
)
