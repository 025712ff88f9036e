"""``/v1/completions``: continuations of texts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.errors import GgmlkitError
from ggmlkit.server.collecting import collected
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.errors import as_request_error, bad_request
from ggmlkit.server.generating import Delta, End, Generation, Job
from ggmlkit.server.openai.answers import (
    Answer,
    completion_logprobs,
    new_id,
    usage_of,
)
from ggmlkit.server.openai.shapes import CompletionBody, TextCompletion
from ggmlkit.server.sampling_fields import sampling_params, settings_of
from ggmlkit.server.scoring import scored
from ggmlkit.server.serving import Serving, serving_of
from ggmlkit.server.sse import DONE, EventStream, event, json_response

if TYPE_CHECKING:
    from ggmlkit.engine.completion import Token
    from ggmlkit.server.loading import ServedModel

_MAX_TOKENS: Final = 16  # OpenAI's, where a completion does not say
_MOST_PROMPTS: Final = 1024


@dataclass(frozen=True)
class _Echo:
    """A prompt that is written before its continuation.

    Attributes:
        text: of the prompt.
        tokens: of it, with log-probabilities where they are asked for.
    """

    text: str = ""
    tokens: Sequence[Token] = ()


async def complete(request: Request) -> Response:
    """Continue texts."""
    serving = serving_of(request)
    body = await serving.body(request, CompletionBody)
    _check(body)
    choices = body.n or 1
    count = len(_prompts(body)) * choices
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving.admitted(request, body.model, count))
        job = await serving.in_thread(
            partial(completion_job, serving, served, body, serving.client(request))
        )
        generation = await stack.enter_async_context(serving.generation(request, served, job))
        echoes = [_Echo()] * len(job.prompts)
        if body.echo:
            asked = serving.in_thread(partial(_echoes, served, job, body))
            echoes = await unless_gone(request.receive, asked)
        answer = Answer(served.name, "text_completion", new_id("cmpl-"))
        parts = _Parts(body, served, answer, generation, echoes)
        if body.stream:
            return EventStream(parts.chunks(), stack.pop_all())
        return json_response(await unless_gone(request.receive, parts.whole(count)))


def _check(body: CompletionBody) -> None:
    if body.suffix:
        raise bad_request("suffix is not supported: the model continues texts", "suffix")
    if (body.best_of or 1) > (body.n or 1):
        raise bad_request("best_of above n is not supported", "best_of")
    if len(_prompts(body)) > _MOST_PROMPTS:
        raise bad_request(f"prompt may have {_MOST_PROMPTS} prompts", "prompt")


def _prompts(body: CompletionBody) -> list[str | list[int]]:
    """Each prompt, a text or token ids."""
    given = body.prompt
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], int):
        return [given]
    return given  # type: ignore[return-value]


def completion_job(serving: Serving, served: ServedModel, body: CompletionBody, client: str) -> Job:
    """What is to be generated for a body; takes a moment.

    Raises:
        RequestError: a prompt is empty, or a field has no meaning.
    """
    settings = settings_of(body, served.tokenizer)
    asked = body.max_tokens if body.max_tokens is not None else body.n_predict
    most = _MAX_TOKENS if asked is None else None if asked == -1 else asked
    settings["max_tokens"] = serving.most_tokens(most)
    if _wants_logprobs(body):
        settings |= {"logprobs": True, "top_logprobs": _top(body)}
    return Job(
        [prompt_ids(served, prompt) for prompt in _prompts(body)],
        sampling_params(settings),
        body.n or 1,
        client=client,
        seconds=serving.settings.limits.seconds,
    )


def prompt_ids(served: ServedModel, prompt: str | list[int]) -> list[int]:
    """Token ids of a prompt; control tokens may stand in a text by their names.

    Raises:
        RequestError: it has no tokens, or one outside the vocabulary.
    """
    if isinstance(prompt, str):
        prompt = served.tokenizer.encode(prompt, parse_special=True)
    try:
        return served.model.prompt_ids(prompt)
    except GgmlkitError as error:
        raise as_request_error(error) from None


def _wants_logprobs(body: CompletionBody) -> bool:
    is_asked = body.logprobs is not None and body.logprobs is not False
    return is_asked or bool(body.n_probs)


def _top(body: CompletionBody) -> int:
    """Likeliest tokens that are told of each."""
    asked = body.n_probs if body.logprobs is None else body.logprobs
    return int(asked or 0)


def _echoes(served: ServedModel, job: Job, body: CompletionBody) -> list[_Echo]:
    """The prompts as they are written before their continuations."""
    wants = _wants_logprobs(body)
    return [
        _Echo(
            served.tokenizer.decode(ids) if not isinstance(text, str) else text,
            scored(served, ids, _top(body)) if wants else (),
        )
        for ids, text in zip(job.prompts, _prompts(body), strict=True)
    ]


class _Parts:
    """Writes what is generated."""

    def __init__(
        self,
        body: CompletionBody,
        served: ServedModel,
        answer: Answer,
        generation: Generation,
        echoes: list[_Echo],
    ) -> None:
        self._body, self._served, self._answer = body, served, answer
        self._generation, self._echoes = generation, echoes
        self._logprobs = _wants_logprobs(body)
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
        usage, timings = usage_of(self._generation), self._generation.timings
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
            usage, timings = usage_of(self._generation), self._generation.timings
            yield event(self._answer.part([], usage=usage, timings=timings))
        yield DONE

    def _echo(self, choice: int) -> _Echo:
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
        logprobs = None
        if self._logprobs and tokens:
            logprobs = completion_logprobs(self._served.tokenizer, tokens, offset)
        return {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": reason}


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
