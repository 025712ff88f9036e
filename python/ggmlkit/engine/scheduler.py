"""Many prompts at once: sequences join and leave between steps (continuous batching).

Each step decodes a token of every sequence whose prompt is computed, and prefills a part of the
other prompts. How large a part is bounded by time: a long prompt must not hold up the tokens of the
others.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.arguments import number, shown, whole
from ggmlkit.closing import Closing
from ggmlkit.engine.batch import adapter_of
from ggmlkit.engine.completion import Completion, drawn
from ggmlkit.engine.constraint import constraint_of
from ggmlkit.engine.generation import NO_TOKEN, room_for
from ggmlkit.engine.model import Model
from ggmlkit.engine.request import Request, Stream
from ggmlkit.engine.sampling import GenerationSettings, SamplingParams, chosen_params
from ggmlkit.errors import (
    ArgumentTypeError,
    CacheFullError,
    ClosedError,
    GgmlkitError,
    ModelError,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Unpack  # in typing from Python 3.11 on

    from ggmlkit.engine.sequence import Adapter, LogitsOf, Sequence, TokenIds

# Tokens of a step at most: one pass of the engine, so that no step holds it for longer.
_STEP_TOKENS = 256
# A part of a prompt that is smaller than this reads all weights for too little.
_LEAST_PREFILL = 16


def _model(value: object) -> Model:
    """The value, which must be a model; raises ArgumentTypeError."""
    if isinstance(value, Model):
        return value
    hint = "; a Llama's is its .model" if isinstance(getattr(value, "model", None), Model) else ""
    raise ArgumentTypeError(f"model must be a gk.Model, not {shown(value)}{hint}")


class Scheduler(Closing):
    """Generates for many prompts on one model, in a thread of its own.

    ``with gk.Scheduler(model) as scheduler:`` closes it at the end; so does the end of the last
    reference to it and to its streams. Threads may share it.

    Args:
        model: the model. Its ``cache_tokens`` bound how much text there is at a time.
        max_sequences: that are generated for at a time; later prompts wait.
        prefill_time: seconds of a step that may go to prompts while other sequences decode. More
            gives new prompts their first token sooner, and makes gaps in running streams longer.

    Raises:
        ArgumentError: a number is out of range.
    """

    def __init__(
        self, model: Model, *, max_sequences: int = 64, prefill_time: float = 0.05
    ) -> None:
        self._model = _model(model)
        self._most = whole(max_sequences, "max_sequences", least=1)
        self._prefill_time = number(prefill_time, "prefill_time", least=0)
        self._changed = changed = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._closed = False
        self._is_full = False  # until a sequence ends
        self._token_time = 0.0  # of prefilling, measured; 0: not yet
        self._thread = threading.Thread(
            target=_work,
            args=(weakref.ref(self, lambda _: _wake(changed)), changed),
            name="ggmlkit scheduler",
            daemon=True,
        )
        self._thread.start()

    def submit(
        self,
        prompt: str | TokenIds,
        params: SamplingParams | None = None,
        *,
        adapter: Adapter | None = None,
        **settings: Unpack[GenerationSettings],
    ) -> Stream:
        """Generate for a prompt; returns at once.

        Args:
            prompt: text, or token ids as they are.
            params: the settings, or
            settings: its fields, by keyword.
            adapter: of the model, for this prompt.

        Raises:
            ModelError: the prompt does not fit the context, or the cache.
            ArgumentError: a setting or a token is out of range or of a wrong type.
        """
        params = chosen_params(params, settings)
        adapter_of(self._model, adapter)
        ids = self._model.prompt_ids(prompt)
        limit = room_for(self._model, ids, params)
        if len(ids) > self._model.cache_tokens:
            raise CacheFullError(
                f"the prompt of {len(ids)} tokens does not fit the cache of "
                f"{self._model.cache_tokens}"
            )
        constraint = constraint_of(params, self._model.tokenizer, self._model.config.vocab)
        request = Request(ids, params, adapter, limit, constraint)
        with self._changed:
            if self._closed:
                raise ClosedError("the scheduler is closed")
            if not self._thread.is_alive():
                raise ClosedError(
                    "the scheduler's thread is gone, as it failed or the process is a fork; "
                    "make another scheduler"
                )
            self._waiting.append(request)
            self._changed.notify()
        return Stream(request, self)

    @property
    def running(self) -> int:
        """Prompts that are generated for."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Prompts that wait for their turn."""
        return len(self._waiting)

    @property
    def is_working(self) -> bool:
        """Whether it takes prompts: it is not closed, and its thread runs."""
        return not self._closed and self._thread.is_alive()

    def close(self) -> None:
        """End all streams, each with a ClosedError, and the thread. Twice is no error."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    # ------------------------------------------------------------- its own thread

    def has_work(self) -> bool:
        """Whether its thread has something to do: a step, or to end."""
        return bool(self._closed or self._waiting or self._running)

    def work(self) -> bool:
        """Compute a step; False at the end."""
        if self._closed:
            self._end_all(
                ClosedError("the scheduler was closed before this stream ended; read it before")
            )
            return False
        try:
            self._step()
        except GgmlkitError as error:
            self._end_all(error)
        except BaseException as error:  # a defect: nobody may wait for ever
            self._end_all(ClosedError(f"the scheduler failed: {error!r}"))
            raise
        return True

    def _end_all(self, error: GgmlkitError) -> None:
        with self._changed:
            requests = [*self._running, *self._waiting]
            self._waiting.clear()
        self._running = []
        for request in requests:
            self._end(request, error)

    def _end(self, request: Request, error: GgmlkitError | None = None) -> None:
        request.let_go()
        request.tokens.put(error)
        if request in self._running:
            self._running.remove(request)
        self._is_full = False

    def _step(self) -> None:
        for request in [r for r in self._running if r.given_up]:
            self._end(request)
        self._admit()
        while self._running:
            chunks = self._chunks()
            try:
                logits = self._computed(chunks)
            except CacheFullError as error:
                self._make_room(error)
                continue
            done = [request for request, _ in chunks if request.missing == 0]
            self._draw(self._prefilled(done), logits)
            return

    def _admit(self) -> None:
        """Let waiting prompts in."""
        while len(self._running) < self._most and not (self._is_full and self._running):
            with self._changed:
                if not self._waiting:
                    return
                request = self._waiting.popleft()
            if request.given_up:
                self._end(request)
                continue
            request.hold(self._model.sequence(request.ids, request.adapter))
            self._running.append(request)

    def _chunks(self) -> list[tuple[Request, int]]:
        """Which sequences take part in a step, and with how many tokens."""
        decoding = [r for r in self._running if r.missing == 1]
        left = self._prefill_tokens(len(decoding))
        chunks = [(request, 1) for request in decoding]
        for request in self._running:
            n = min(left, request.missing)
            if request.missing > 1 and n > 0:
                chunks.append((request, n))
                left -= n
        # Sequences of one adapter lie side by side.
        chunks.sort(key=lambda chunk: id(chunk[0].adapter))
        return chunks

    def _prefill_tokens(self, decoding: int) -> int:
        most = max(_LEAST_PREFILL, _STEP_TOKENS - decoding)
        if not decoding:
            return most
        if not self._token_time:  # not measured yet
            return min(most, 2 * _LEAST_PREFILL)
        return max(_LEAST_PREFILL, min(most, int(self._prefill_time / self._token_time)))

    def _computed(self, chunks: list[tuple[Request, int]]) -> NDArray[np.float32]:
        """Logits of the sequences whose ids are all computed then: float32 ``(n, vocab)``."""
        sequences: list[Sequence] = []
        ids: list[NDArray[np.int32]] = []
        wanted: list[LogitsOf] = []
        for request, n in chunks:
            assert request.sequence is not None
            sequences.append(request.sequence)
            ids.append(np.array(request.ids[request.held : request.held + n], np.int32))
            wanted.append("last" if n == request.missing else "none")
        out = np.empty((wanted.count("last"), self._model.config.vocab), np.float32)
        start = time.perf_counter()
        self._model.append(sequences, ids, wanted, out)
        self._measure(sum(n for _, n in chunks), len(chunks), time.perf_counter() - start)
        for request, n in chunks:
            request.held += n
        return out

    def _measure(self, tokens: int, sequences: int, seconds: float) -> None:
        """Time of a prefilled token, a running mean of steps that are mostly prefill."""
        if tokens - sequences < _LEAST_PREFILL:
            return
        found = seconds / tokens
        self._token_time = 0.7 * self._token_time + 0.3 * found if self._token_time else found

    def _make_room(self, error: CacheFullError) -> None:
        """Send the sequence that came last back to wait: it is computed again later."""
        request = self._running[-1]
        if len(self._running) == 1:
            self._end(request, error)
            return
        request.let_go()
        self._running.remove(request)
        with self._changed:
            self._waiting.appendleft(request)
        self._is_full = True

    def _prefilled(self, requests: list[Request]) -> list[Request]:
        """The same; of those whose prompt was computed now, tokens can be drawn."""
        for request in requests:
            if request.completion is None:
                now = time.perf_counter()
                request.stats.prompt_seconds = now - request.since
                request.since = now
                model = self._model
                request.completion = Completion(
                    request.ids,
                    request.params,
                    model.tokenizer,
                    request.limit,
                    model.config.vocab,
                    request.constraint,
                )
        return requests

    def _draw(self, requests: list[Request], logits: NDArray[np.float32]) -> None:
        wanted: list[tuple[Completion, Request, NDArray[np.float32]]] = []
        allowed: list[NDArray[np.uint32] | None] = []
        for request, row in zip(requests, logits, strict=True):
            assert request.completion is not None
            if request.limit == 0:
                self._end(request)
                continue
            try:
                allowed.append(request.completion.prepare(request.ids, row))
            except ModelError as error:  # of its grammar
                self._end(request, error)
                continue
            except Exception as error:  # of the caller's own logits_processor
                self._end(request, ModelError(f"logits_processor failed: {error!r}"))
                continue
            wanted.append((request.completion, request, row))
        if not wanted:
            return
        rows = logits if len(wanted) == len(requests) else np.stack([row for *_, row in wanted])
        ids = drawn([completion for completion, *_ in wanted], rows, allowed)
        for (completion, request, row), id in zip(wanted, ids, strict=True):
            if id < 0:
                self._end(request, ModelError(NO_TOKEN))
                continue
            token = completion.take(id, row)
            request.take(token)
            if token.finish_reason:
                self._end(request)


def _work(ref: weakref.ref[Scheduler], changed: threading.Condition) -> None:
    """What the thread does, which does not keep the scheduler."""

    def is_awaited() -> bool:
        scheduler = ref()
        if scheduler is not None and scheduler.has_work():
            return True
        del scheduler
        return ref() is None

    is_open = True
    while is_open:
        with changed:
            changed.wait_for(is_awaited)
        scheduler = ref()
        is_open = scheduler is not None and scheduler.work()
        del scheduler


def _wake(changed: threading.Condition) -> None:
    with changed:
        changed.notify()
