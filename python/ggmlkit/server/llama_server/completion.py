"""``/completion``: continuations of prompts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.chat.errors import RequestError, bad_request
from ggmlkit.chat.jobs import Job, Terms
from ggmlkit.chat.sampling_fields import sampling_params, settings_of
from ggmlkit.engine.sampling_checks import strings
from ggmlkit.server.disconnects import unless_gone
from ggmlkit.server.endpoints import Endpoint
from ggmlkit.server.generating import Delta, End, Generation
from ggmlkit.server.llama_server.answers import (
    json_answer,
    only_fields,
    probabilities,
    stopping_word,
)
from ggmlkit.server.llama_server.errors import LlamaError, llama_shape, unsupported
from ggmlkit.server.llama_server.generation_settings import generation_settings
from ggmlkit.server.llama_server.line_limits import LineLimits
from ggmlkit.server.llama_server.lora import check_loras
from ggmlkit.server.llama_server.mixed_prompts import each_prompt, fitting_ids
from ggmlkit.server.llama_server.shapes import (
    AnswerFields,
    NativeCompletionBody,
    NativeCompletions,
)
from ggmlkit.server.llama_server.tokens import text_of
from ggmlkit.server.serving import Serving, serving_of
from ggmlkit.server.sse import EventStream, event
from ggmlkit.server.timings import timings_of

if TYPE_CHECKING:
    from ggmlkit.engine.completion import Token
    from ggmlkit.server.loading import ServedModel

PromptsOf = Callable[["ServedModel"], list[list[int]]]
_NO_SLOT: Final = -1


async def complete(request: Request) -> Response:
    """Continue prompts."""
    body = await serving_of(request).body(request, NativeCompletionBody)
    prompts = each_prompt(body.prompt, "prompt")

    def ids(served: ServedModel) -> list[list[int]]:
        return [fitting_ids(served, prompt, "prompt") for prompt in prompts]

    return await answered(request, body, len(prompts), ids)


async def answered(request: Request, body: AnswerFields, prompts: int, ids: PromptsOf) -> Response:
    """The response to a body with so many prompts, whose token ids a thread makes.

    Raises:
        RequestError: a field has no meaning, or the model fails.
    """
    serving = serving_of(request)
    if body.n_probs and body.post_sampling_probs:
        raise unsupported(
            "post_sampling_probs is not supported: without it, n_probs tells log-probabilities "
            "before sampling"
        )
    async with AsyncExitStack() as stack:
        job_of = partial(_job, serving=serving, body=body, ids=ids)
        generation = await stack.enter_async_context(
            serving.generation(request, body.model, job_of, prompts * body.choices)
        )
        served, job = generation.served, generation.job
        texts = await serving.in_thread(partial(_prompt_texts, served, job))
        answers = _Answers(body, served, job, generation, texts)
        if body.stream:
            return EventStream(answers.chunks(), stack.pop_all(), _error_event)
        found = await unless_gone(request.receive, answers.wholes())
        return json_answer(found[0] if len(found) == 1 else found)


def _error_event(error: RequestError) -> bytes:
    return event(llama_shape(error))


def _job(
    terms: Terms, served: ServedModel, *, serving: Serving, body: AnswerFields, ids: PromptsOf
) -> Job:
    """What is to be generated; takes a moment."""
    check_loras(serving, served.name, body.lora)
    if body.grammar and body.json_schema is not None:
        raise bad_request("grammar can't be given together with json_schema", "grammar")
    settings = terms.settled(settings_of(body, served.tokenizer), body.most_tokens)
    if settings["max_tokens"] == 0:  # the prompt is computed, so that the cache has it
        settings["max_tokens"] = 1
    return Job(
        ids(served),
        sampling_params(settings),
        body.choices,
        uses_cache=body.uses_cache,
        seconds=terms.seconds,
    )


def _prompt_texts(served: ServedModel, job: Job) -> list[str]:
    """The text of each prompt; takes a moment."""
    return [text_of(served.tokenizer, prompt) for prompt in job.prompts]


@dataclass
class _Answer:
    """An answer as it is written.

    Attributes:
        prompt: its text.
        prompt_tokens: of it.
        lines: what its lines may be.
        content: its text so far.
        tokens: so far.
    """

    prompt: str
    prompt_tokens: int
    lines: LineLimits
    content: str = ""
    tokens: list[Token] = field(default_factory=list)


class _Answers:
    """Writes what is generated."""

    def __init__(
        self,
        body: AnswerFields,
        served: ServedModel,
        job: Job,
        generation: Generation,
        texts: list[str],
    ) -> None:
        self._body, self._served, self._job, self._generation = body, served, job, generation
        self._is_silent = body.most_tokens == 0
        indent, seconds = body.n_indent or 0, (body.t_max_predict_ms or 0) / 1e3
        self._answers = [
            _Answer(text, len(prompt), LineLimits(indent, seconds))
            for text, prompt in zip(texts, job.prompts, strict=True)
            for _ in range(job.choices)
        ]
        self._stops = strings(job.params.stop, "stop")
        most = None if self._is_silent else job.params.max_tokens
        params = replace(job.params, max_tokens=0 if self._is_silent else most)
        self._settings = generation_settings(params, body)

    async def wholes(self) -> list[dict[str, Any]]:
        """The whole answers."""
        found: list[dict[str, Any]] = [{} for _ in self._answers]
        async with aclosing(self._generation.events()) as events:
            async for each in events:
                if isinstance(each, End):
                    found[each.choice] = self._final(each)
                else:
                    self._push(each)
        return found

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The answers in chunks, encoded."""
        async with aclosing(self._generation.events()) as events:
            async for each in events:
                if isinstance(each, End):
                    yield event(self._final(each))
                elif (text := self._push(each)) is not None:
                    yield event(self._chunk(each, text))

    def _push(self, delta: Delta) -> str | None:
        """The text that is new, None if nothing is told of it."""
        answer = self._answers[delta.choice]
        if self._is_silent or answer.lines.has_ended():
            return None
        if delta.token is not None:
            answer.tokens.append(delta.token)
        text = answer.lines.push(delta.content)
        answer.content += text
        if answer.lines.has_ended():
            self._generation.end(delta.choice)
        return None if delta.token is None and not text else text

    def _chunk(self, delta: Delta, text: str) -> dict[str, Any]:
        answer, tokens = self._answers[delta.choice], _tokens(delta)
        found = {
            "index": delta.choice,
            "content": text,
            "tokens": [token.id for token in tokens],
            "stop": False,
            "id_slot": self._slot,
            "tokens_predicted": len(answer.tokens),
            "tokens_evaluated": answer.prompt_tokens,
        }
        if self._body.timings_per_token:
            found["timings"] = timings_of(self._generation.stats(delta.choice))
        if self._body.n_probs:
            found["completion_probabilities"] = self._probabilities(tokens)
        return found

    def _final(self, end: End) -> dict[str, Any]:
        answer = self._answers[end.choice]
        stop_type, word = self._stop(answer, end)
        predicted, evaluated = len(answer.tokens), answer.prompt_tokens
        is_streamed = bool(self._body.stream)
        found = {
            "index": end.choice,
            "content": "" if is_streamed else answer.content,
            "tokens": self._ids(answer),
            "id_slot": self._slot,
            "stop": True,
            "model": self._served.name,
            "tokens_predicted": predicted,
            "tokens_evaluated": evaluated,
            "generation_settings": self._settings,
            "prompt": answer.prompt,
            "has_new_line": answer.lines.has_new_line,
            "truncated": stop_type == "limit" and self._is_full(answer),
            "stop_type": stop_type,
            "stopping_word": word,
            "tokens_cached": evaluated + max(0, predicted - 1),
            "timings": timings_of(self._generation.stats(end.choice)),
        }
        if self._body.n_probs and not is_streamed:
            found["completion_probabilities"] = self._probabilities(answer.tokens)
        fields = self._body.response_fields
        return only_fields(found, fields) if fields else found

    @property
    def _slot(self) -> int:
        """What was asked for: there are no slots that an answer could be tied to."""
        return _NO_SLOT if self._body.id_slot is None else self._body.id_slot

    def _stop(self, answer: _Answer, end: End) -> tuple[str, str]:
        """Why an answer ended, and the stop string that ended it."""
        if self._is_silent or answer.lines.has_ended() or end.reason != "stop":
            return "limit", ""
        tokenizer = self._served.tokenizer
        word = stopping_word(tokenizer, answer.tokens, answer.content, self._stops)
        return ("word", word) if word else ("eos", "")

    def _is_full(self, answer: _Answer) -> bool:
        most = self._job.params.max_tokens
        is_cut = most is None or len(answer.tokens) < most
        return is_cut and answer.prompt_tokens + len(answer.tokens) >= self._served.most_tokens

    def _ids(self, answer: _Answer) -> list[int]:
        if self._body.stream or not self._body.return_tokens:
            return []
        return [token.id for token in answer.tokens]

    def _probabilities(self, tokens: Sequence[Token]) -> list[dict[str, Any]]:
        return probabilities(self._served.tokenizer, tokens)


def _tokens(delta: Delta) -> list[Token]:
    return [] if delta.token is None else [delta.token]


ENDPOINTS = tuple(
    Endpoint(
        "POST",
        path,
        complete,
        "Continue prompts.",
        NativeCompletionBody,
        NativeCompletions,
        LlamaError,
        streams=True,
    )
    for path in ("/completion", "/completions")
)
