"""Generates the answers of a request: what the endpoints of all APIs share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from anyio import CapacityLimiter, to_thread

from ggmlkit.chat.answer_reader import AnswerReader
from ggmlkit.chat.errors import as_failure, as_request_error, busy
from ggmlkit.chat.whole import EndReason, end_reason, is_thought
from ggmlkit.engine.breakers import breaker_tokens
from ggmlkit.engine.completion import Token
from ggmlkit.engine.result import Usage
from ggmlkit.engine.sampling_checks import strings
from ggmlkit.engine.stats import Stats
from ggmlkit.errors import CacheFullError, GgmlkitError
from ggmlkit.server.timings import timings_of
from ggmlkit.text.tool_calls import ToolCall

if TYPE_CHECKING:
    from ggmlkit.chat.jobs import Job
    from ggmlkit.engine.request import Stream
    from ggmlkit.engine.sampling import SamplingParams
    from ggmlkit.server.loading import ServedModel
    from ggmlkit.server.metrics import Metrics


class Delta(NamedTuple):
    """What is new of a choice.

    Attributes:
        choice: its number; those of the first prompt come first.
        content: text of the answer.
        reasoning: text of thoughts.
        calls: of tools, each whole.
        token: that was drawn; None for the rest at the end. Its text may be in a later delta.
    """

    choice: int
    content: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    token: Token | None


class End(NamedTuple):
    """The end of a choice.

    Attributes:
        choice: its number.
        reason: "stop" at the model's end, a stop string or the end of a grammar; "tool_calls" after
            calls; "length" where no more tokens were asked for, or time or context ended.
        token: the last one.
    """

    choice: int
    reason: EndReason
    token: Token | None


Event = Delta | End


class RunningChoice(NamedTuple):
    """What is known of a choice that is generated now.

    Attributes:
        params: how its tokens are drawn.
        prompt_tokens: of its prompt.
        tokens: generated so far.
        stats: its work.
    """

    params: SamplingParams
    prompt_tokens: int
    tokens: int
    stats: Stats


class _Choice:
    """An answer that is generated."""

    def __init__(self, number: int, prompt: list[int], params: SamplingParams) -> None:
        self.number, self.prompt, self.params = number, prompt, params
        self.stream: Stream | None = None
        self.is_first = True  # of its prompt
        self.waiting: asyncio.Task[Any] | None = None  # for a token
        self.tokens = self.reasoning_tokens = 0
        self.last_at = time.perf_counter()

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()


class Generation:
    """The answers of one request. Closed, or no longer referred to, it gives its pages back.

    Args:
        client: who asks, for a fair order.
        threads: those in which prompts are submitted: a grammar takes time.

    Attributes:
        served: the model.
        job: what is generated.
        model: its name.
        started_at: by ``time.perf_counter``.
    """

    def __init__(
        self,
        served: ServedModel,
        job: Job,
        client: str,
        threads: CapacityLimiter,
        metrics: Metrics,
    ) -> None:
        self.served, self.job = served, job
        self._client, self._threads, self._metrics = client, threads, metrics
        self.model, self.started_at = served.name, time.perf_counter()
        self._is_expired = False
        self._timer: asyncio.TimerHandle | None = None
        self._choices: list[_Choice] = []
        for prompt in job.prompts:
            for place in range(job.choices):
                choice = _Choice(len(self._choices), prompt, job.params_of(place))
                choice.is_first = not place
                self._choices.append(choice)

    async def start(self) -> None:
        """Submit the prompts.

        Raises:
            RequestError: one is too long, or a setting can't be used.
        """
        for choice in self._choices:
            self.served.check_fits(choice.prompt)
        if self.job.seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.job.seconds, self.expire)
        for choice in self._choices:  # the scheduler computes what they begin with once
            await self._submit(choice)

    async def events(self) -> AsyncGenerator[Event, None]:
        """What comes, of all choices; each ends with an `End`. Leaving it closes the generation.

        Raises:
            RequestError: the model fails.
        """
        try:
            if len(self._choices) == 1:
                async for event in self._of(self._choices[0]):
                    yield event
            else:
                async for event in self._of_all():
                    yield event
        finally:
            self.close()

    def expire(self) -> None:
        """End all answers now, with what there is of them."""
        self._is_expired = True
        for choice in self._choices:
            choice.close()
            if choice.waiting is not None:
                choice.waiting.cancel()

    def _has_expired(self) -> bool:
        return self._is_expired  # which may have changed since it was looked at

    def close(self) -> None:
        """Give the pages back. Twice is no error."""
        if self._timer is not None:
            self._timer.cancel()
        for choice in self._choices:
            choice.close()

    @property
    def usage(self) -> Usage:
        """The tokens so far; a prompt counts once for all its choices."""
        firsts = [choice for choice in self._choices if choice.is_first]
        return Usage(
            sum(len(choice.prompt) for choice in firsts),
            sum(choice.stream.stats.cached_tokens for choice in firsts if choice.stream),
            sum(choice.tokens for choice in self._choices),
        )

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of thoughts so far."""
        return sum(choice.reasoning_tokens for choice in self._choices)

    @property
    def timings(self) -> dict[str, float]:
        """Work of the first choice, under llama-server's names."""
        return {} if self._choices[0].stream is None else timings_of(self.stats(0))

    @property
    def work(self) -> list[Stats]:
        """Of each choice that was submitted."""
        return [choice.stream.stats for choice in self._choices if choice.stream is not None]

    def stats(self, number: int) -> Stats:
        """Work of a choice so far."""
        stream = self._choices[number].stream
        return Stats() if stream is None else stream.stats

    def end(self, number: int) -> None:
        """End a choice now; a token or two may still come."""
        self._choices[number].close()

    @property
    def running(self) -> list[RunningChoice]:
        """The choices that are generated now, not those that wait for their turn."""
        return [
            RunningChoice(choice.params, len(choice.prompt), choice.tokens, choice.stream.stats)
            for choice in self._choices
            if choice.stream is not None and choice.stream.is_running
        ]

    # ------------------------------------------------------------------ inside

    async def _submit(self, choice: _Choice) -> None:
        try:
            choice.stream = await to_thread.run_sync(
                partial(_submitted, self.served, choice, self._client, self.job.uses_cache),
                limiter=self._threads,
            )
        except GgmlkitError as error:
            self.close()
            raise as_request_error(error, self.served.path, self.served.name) from None

    async def _of(self, choice: _Choice) -> AsyncGenerator[Event, None]:
        """What comes of one choice."""
        reader = AnswerReader(self.job.reading)
        number, token = choice.number, None
        while (found := await self._token(choice)) is not None:
            token = found
            parts = reader.push(token)
            choice.reasoning_tokens += is_thought(parts)
            yield Delta(number, *parts, token)
            if reader.is_full:
                choice.close()
                break
        if self._has_expired() and not any(each.tokens for each in self._choices):
            raise busy(503, "no token came in the time that an answer may take", "timeout")
        rest = reader.flush()
        if any(rest):
            yield Delta(number, *rest, None)
        yield End(number, end_reason(token, reader.calls), token)

    async def _token(self, choice: _Choice) -> Token | None:
        """The next token; None at the end."""
        stream = choice.stream
        if stream is None or self._is_expired:
            return None
        # Not a variable of this frame, which the task's error would hold in a cycle.
        choice.waiting = asyncio.current_task()
        try:
            token = await stream.__anext__()
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            if not self._has_expired():
                raise
            _uncancel(choice.waiting)
            return None
        except GgmlkitError as error:
            if isinstance(error, CacheFullError) and choice.tokens:
                return None  # which ends it as a full context does
            raise as_failure(error, self.served.path, self.served.name) from None
        finally:
            choice.waiting = None
        now = time.perf_counter()
        self._metrics.token(now - choice.last_at, is_first=not choice.tokens)
        choice.last_at = now
        choice.tokens += 1
        return token

    async def _of_all(self) -> AsyncGenerator[Event, None]:
        """What comes of several choices, as it comes."""
        queue: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        tasks = [asyncio.create_task(self._pump(choice, queue)) for choice in self._choices]
        try:
            left = len(tasks)
            while left:
                found = await queue.get()
                if isinstance(found, BaseException):
                    raise found
                left -= isinstance(found, End)
                yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, choice: _Choice, queue: asyncio.Queue[Event | BaseException]) -> None:
        try:
            async for event in self._of(choice):
                queue.put_nowait(event)
        except Exception as error:
            queue.put_nowait(error)


def _uncancel(task: asyncio.Task[Any] | None) -> None:
    """Take a cancellation of a task back; before Python 3.11 nobody counts them."""
    uncancel = getattr(task, "uncancel", None)
    if uncancel is not None:
        uncancel()


def _submitted(served: ServedModel, choice: _Choice, client: str, uses_cache: bool) -> Stream:
    """The stream of a choice."""
    params = choice.params
    if params.dry_multiplier:  # found now, the scheduler's thread does not search for them
        breakers = strings(params.dry_sequence_breakers, "dry_sequence_breakers")
        breaker_tokens(served.tokenizer, breakers)
    return served.scheduler.submit(
        choice.prompt,
        params,
        adapter=served.adapter,
        client=client,
        uses_cache=uses_cache,
    )
