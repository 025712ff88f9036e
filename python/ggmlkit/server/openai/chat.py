"""``/v1/chat/completions``: answers to conversations."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.answers import Answer, chat_logprobs, new_call_id, new_id, usage_shape
from ggmlkit.chat.chats import calls_of, chat_choice, chat_job, reason_of
from ggmlkit.chat.json_text import as_json
from ggmlkit.chat.shapes import ChatBody
from ggmlkit.server.collecting import collected
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.generating import Delta, End, Generation
from ggmlkit.server.openai.shapes import ChatCompletion
from ggmlkit.server.serving import serving_of
from ggmlkit.server.sse import DONE, EventStream, event, json_response

if TYPE_CHECKING:
    pass


async def chat(request: Request) -> Response:
    """Answer a conversation."""
    serving = serving_of(request)
    body = await serving.body(request, ChatBody)
    choices = body.n or 1
    async with AsyncExitStack() as stack:
        generation = await stack.enter_async_context(
            serving.generation(request, body.model, partial(chat_job, body=body), choices)
        )
        served = generation.served
        id = new_id("chatcmpl-")
        if body.stream:
            answer = Answer(served.name, "chat.completion.chunk", id)
            return EventStream(_Chunks(body, answer, generation).all(), stack.pop_all())
        answer = Answer(served.name, "chat.completion", id)
        found = await unless_gone(request.receive, collected(generation, choices))
        shapes = [
            chat_choice(
                served.tokenizer,
                body,
                place,
                whole,
                logprobs=generation.job.params.logprobs,
                new_id=new_call_id,
            )
            for place, whole in enumerate(found)
        ]
        usage = usage_shape(generation.usage, generation.reasoning_tokens)
        return json_response(answer.part(shapes, usage=usage, timings=generation.timings))


class _Chunks:
    """The chunks of a streamed answer."""

    def __init__(
        self,
        body: ChatBody,
        answer: Answer,
        generation: Generation,
    ) -> None:
        self._body, self._answer = body, answer
        self._generation = generation
        self._logprobs = generation.job.params.logprobs
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
                    yield self._event(each.choice, {}, reason_of(self._body, each.reason))
                elif encoded := self._delta(each):
                    yield encoded
        if self._body.has_usage_chunk:
            usage = usage_shape(self._generation.usage, self._generation.reasoning_tokens)
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
            delta |= calls_of(self._body, each.calls, new_call_id)
            for place, call in enumerate(delta.get("tool_calls", ()), first):
                call["index"] = place
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
            logprobs = chat_logprobs(self._generation.served.tokenizer, [of.token])
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
