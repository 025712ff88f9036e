"""``/v1/completions``: continuations of texts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.answers import Answer, new_id, usage_shape
from ggmlkit.chat.completions import Echo, completion_job, echoes_of, prompts_of, text_choice
from ggmlkit.chat.shapes import CompletionBody
from ggmlkit.server.collecting import collected
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.generating import Delta, End, Generation
from ggmlkit.server.openai.shapes import TextCompletion
from ggmlkit.server.serving import serving_of
from ggmlkit.server.sse import DONE, EventStream, event, json_response

if TYPE_CHECKING:
    from ggmlkit.engine.completion import Token


async def complete(request: Request) -> Response:
    """Continue texts."""
    serving = serving_of(request)
    body = await serving.body(request, CompletionBody)
    count = len(prompts_of(body)) * (body.n or 1)
    async with AsyncExitStack() as stack:
        generation = await stack.enter_async_context(
            serving.generation(request, body.model, partial(completion_job, body=body), count)
        )
        served = generation.served
        asked = serving.in_thread(partial(echoes_of, served, generation.job, body))
        echoes = await unless_gone(request.receive, asked)
        answer = Answer(served.name, "text_completion", new_id("cmpl-"))
        parts = _Parts(body, answer, generation, echoes)
        if body.stream:
            return EventStream(parts.chunks(), stack.pop_all())
        return json_response(await unless_gone(request.receive, parts.whole(count)))


class _Parts:
    """Writes what is generated."""

    def __init__(
        self,
        body: CompletionBody,
        answer: Answer,
        generation: Generation,
        echoes: list[Echo],
    ) -> None:
        self._body, self._answer = body, answer
        self._generation, self._echoes = generation, echoes
        self._logprobs = generation.job.params.logprobs
        self._more: dict[str, Any] = {"usage": None} if body.has_usage_chunk else {}
        self._offsets: dict[int, int] = {}  # characters of each choice so far

    async def whole(self, count: int) -> dict[str, Any]:
        """The whole answer."""
        found = await collected(self._generation, count)
        choices = [
            self._shape(
                place,
                self._echo(place).text + each.content,
                each.reason,
                [*self._echo(place).tokens, *each.tokens],
            )
            for place, each in enumerate(found)
        ]
        usage, timings = self._usage(), self._generation.timings
        return self._answer.part(choices, usage=usage, timings=timings)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The answer in chunks, encoded."""
        async with aclosing(self._generation.events()) as events:
            async for each in events:
                if each.choice not in self._offsets:
                    self._offsets[each.choice] = 0
                    echo = self._echo(each.choice)
                    if echo.text:
                        yield self._event(each.choice, echo.text, None, echo.tokens)
                if isinstance(each, End):
                    yield self._event(each.choice, "", each.reason)
                elif each.content or (self._logprobs and each.token):
                    yield self._event(each.choice, each.content, None, _tokens(each))
        if self._body.has_usage_chunk:
            usage, timings = self._usage(), self._generation.timings
            yield event(self._answer.part([], usage=usage, timings=timings))
        yield DONE

    def _usage(self) -> dict[str, Any]:
        return usage_shape(self._generation.usage, self._generation.reasoning_tokens)

    def _echo(self, choice: int) -> Echo:
        return self._echoes[choice // (self._body.n or 1)]

    def _event(
        self, choice: int, text: str, reason: str | None, tokens: Sequence[Token] = ()
    ) -> bytes:
        shape = self._shape(choice, text, reason, tokens, self._offsets[choice])
        self._offsets[choice] += len(text)
        return event(self._answer.part([shape], **self._more))

    def _shape(
        self,
        choice: int,
        text: str,
        reason: str | None,
        tokens: Sequence[Token],
        offset: int = 0,
    ) -> dict[str, Any]:
        return text_choice(
            self._generation.served.tokenizer,
            choice,
            text,
            reason,
            tokens,
            offset=offset,
            logprobs=self._logprobs,
        )


def _tokens(delta: Delta) -> list[Token]:
    return [] if delta.token is None else [delta.token]


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/completions",
        complete,
        "Continue texts.",
        CompletionBody,
        TextCompletion,
        streams=True,
    ),
)
