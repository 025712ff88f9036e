"""``/v1/chat/completions``: answers to conversations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.server.chat_jobs import conversation_job, tools_of
from ggmlkit.server.collecting import Whole, collected
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.errors import bad_request
from ggmlkit.server.generating import Delta, End, Generation, Job
from ggmlkit.server.openai.answers import (
    Answer,
    call_shape,
    chat_logprobs,
    new_id,
    usage_of,
)
from ggmlkit.server.openai.shapes import ChatBody, ChatCompletion, NamedTool
from ggmlkit.server.prompts import Conversation, Tools
from ggmlkit.server.sampling_fields import settings_of
from ggmlkit.server.serving import Serving, serving_of
from ggmlkit.server.sse import DONE, EventStream, as_json, event, json_response

if TYPE_CHECKING:
    from ggmlkit.server.loading import ServedModel


async def chat(request: Request) -> Response:
    """Answer a conversation."""
    serving = serving_of(request)
    body = await serving.body(request, ChatBody)
    choices = body.n or 1
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving.admitted(request, body.model, choices))
        job = await serving.in_thread(
            partial(chat_job, serving, served, body, serving.client(request))
        )
        generation = await stack.enter_async_context(serving.generation(request, served, job))
        id = new_id("chatcmpl-")
        if body.stream:
            answer = Answer(served.name, "chat.completion.chunk", id)
            return EventStream(_Chunks(body, served, answer, generation).all(), stack.pop_all())
        answer = Answer(served.name, "chat.completion", id)
        found = await unless_gone(request.receive, collected(generation, choices))
        shapes = [_choice(body, served, place, whole) for place, whole in enumerate(found)]
        return json_response(
            answer.part(shapes, usage=usage_of(generation), timings=generation.timings)
        )


def chat_job(serving: Serving, served: ServedModel, body: ChatBody, client: str) -> Job:
    """What is to be generated for a body; takes a moment.

    Raises:
        RequestError: a field has no meaning, or the template refuses the messages.
    """
    own = settings_of(body, served.tokenizer)
    if body.logprobs or body.top_logprobs:
        own |= {"logprobs": True, "top_logprobs": body.top_logprobs or 0}
    return conversation_job(
        serving,
        served,
        conversation(serving, body),
        own,
        most_tokens=body.most_tokens,
        client=client,
        choices=body.n or 1,
        splits_thoughts=body.reasoning_format != "none",
    )


def conversation(serving: Serving, body: ChatBody) -> Conversation:
    """What a body says; raises RequestError if a field has no meaning."""
    return Conversation(
        [message.model_dump(exclude_unset=True) for message in body.messages],
        _tools(body),
        _schema(body),
        _variables(serving, body),
    )


def _variables(serving: Serving, body: ChatBody) -> dict[str, Any]:
    """For the chat template."""
    found = {**serving.settings.template_variables, **(body.chat_template_kwargs or {})}
    if body.enable_thinking is not None:
        found["enable_thinking"] = body.enable_thinking
    return found


def _tools(body: ChatBody) -> Tools:
    asked = body.tool_choice
    choice = asked.function.name if isinstance(asked, NamedTool) else asked or "auto"
    described = [tool.model_dump(exclude_unset=True) for tool in body.tools or ()]
    return tools_of(described, choice, parallel=body.parallel_tool_calls is not False)


def _schema(body: ChatBody) -> Mapping[str, Any] | None:
    """JSON Schema of the answer."""
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return wanted.schema_ or {"type": "object"}
    inner = wanted.json_schema
    schema = wanted.schema_ if inner is None else inner.schema_
    if schema is None:
        raise bad_request(
            "response_format wants a JSON schema, but has none",
            "response_format.json_schema.schema",
        )
    return schema


def _choice(body: ChatBody, served: ServedModel, place: int, whole: Whole) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": whole.content if whole.content or not whole.calls else None,
        "refusal": None,
    }
    if whole.reasoning:
        message["reasoning_content"] = whole.reasoning
    if whole.calls:
        message["tool_calls"] = [call_shape(call) for call in whole.calls]
    logprobs = chat_logprobs(served.tokenizer, whole.tokens) if _wants_logprobs(body) else None
    return {
        "index": place,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": whole.reason,
    }


def _wants_logprobs(body: ChatBody) -> bool:
    return bool(body.logprobs or body.top_logprobs or body.n_probs)


class _Chunks:
    """The chunks of a streamed answer."""

    def __init__(
        self, body: ChatBody, served: ServedModel, answer: Answer, generation: Generation
    ) -> None:
        self._body, self._served, self._answer = body, served, answer
        self._generation = generation
        self._logprobs = _wants_logprobs(body)
        self._more: dict[str, Any] = {"usage": None} if body.has_usage_chunk else {}
        self._begun: set[int] = set()
        self._calls: dict[int, int] = {}  # of each choice, so far
        # What is around the text of most chunks, written once.
        shape = as_json(self._shape(0, {"content": ""}))
        before, _, after = shape.partition('"content":""')
        self._before, self._after = f'data: {before}"content":', f"{after}\n\n"

    async def all(self) -> AsyncGenerator[bytes, None]:
        """All of them, encoded."""
        async with aclosing(self._generation.events()) as events:
            async for each in events:
                if each.choice not in self._begun:
                    self._begun.add(each.choice)
                    yield self._event(each.choice, {"role": "assistant", "content": ""})
                if isinstance(each, End):
                    yield self._event(each.choice, {}, each.reason)
                elif encoded := self._delta(each):
                    yield encoded
        if self._body.has_usage_chunk:
            usage = usage_of(self._generation)
            timings = self._generation.timings
            yield event(self._answer.part([], usage=usage, timings=timings))
        yield DONE

    def _delta(self, each: Delta) -> bytes:
        if each.choice == 0 and not (self._logprobs or each.reasoning or each.calls):
            text = each.content
            return f"{self._before}{as_json(text)}{self._after}".encode() if text else b""
        delta: dict[str, Any] = {}
        if each.content:
            delta["content"] = each.content
        if each.reasoning:
            delta["reasoning_content"] = each.reasoning
        if each.calls:
            first = self._calls.get(each.choice, 0)
            self._calls[each.choice] = first + len(each.calls)
            delta["tool_calls"] = [
                call_shape(call, first + place) for place, call in enumerate(each.calls)
            ]
        has_logprob = self._logprobs and each.token is not None
        return self._event(each.choice, delta, None, each) if delta or has_logprob else b""

    def _event(
        self, choice: int, delta: dict[str, Any], reason: str | None = None, of: Delta | None = None
    ) -> bytes:
        return event(self._shape(choice, delta, reason, of))

    def _shape(
        self, choice: int, delta: dict[str, Any], reason: str | None = None, of: Delta | None = None
    ) -> dict[str, Any]:
        logprobs = None
        if of is not None and of.token is not None and self._logprobs:
            logprobs = chat_logprobs(self._served.tokenizer, [of.token])
        shape = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self._answer.part([shape], **self._more)


ENDPOINTS = tuple(
    Endpoint(
        "POST",
        path,
        chat,
        "Answer a conversation.",
        ChatBody,
        ChatCompletion,
        streams=True,
    )
    for path in ("/v1/chat/completions", "/chat/completions")  # the latter is llama-server's too
)
