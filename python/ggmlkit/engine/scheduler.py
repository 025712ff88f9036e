"""Many prompts at once: sequences join and leave between steps (continuous batching).

Each step decodes a token of every sequence whose prompt is computed, and prefills a part of the
other prompts. How large a part is bounded by time: a long prompt must not hold up the tokens of the
others.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Hashable
from typing import TYPE_CHECKING

from ggmlkit import _core
from ggmlkit.arguments import number, shown, whole
from ggmlkit.closing import Closing
from ggmlkit.engine.batch import adapter_of
from ggmlkit.engine.constraint import constraint_of
from ggmlkit.engine.decoding import Decoding, Part
from ggmlkit.engine.full_context import room_for
from ggmlkit.engine.model import Model
from ggmlkit.engine.prefill import Prefill
from ggmlkit.engine.request import Request, Stream
from ggmlkit.engine.sampling import GenerationSettings, SamplingParams, chosen_params
from ggmlkit.engine.speculation.choice import Speculation, speculator_of
from ggmlkit.engine.waiting import Waiting
from ggmlkit.errors import ArgumentTypeError, CacheFullError, ClosedError, GgmlkitError

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in typing from Python 3.11 on

    from ggmlkit.engine.sequence import Adapter, TokenIds

# Free tokens of the cache that a running sequence should find when another one joins.
_TOKENS_AHEAD = 64
_PATIENCE = 20.0  # seconds that a text waits for pages that are not the scheduler's
_PAUSE = 0.005


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
        speculation: as for :class:`ggmlkit.Llama`.

    Raises:
        ArgumentError: a number is out of range, or a draft model has another vocabulary.
    """

    def __init__(
        self,
        model: Model,
        *,
        max_sequences: int = 64,
        prefill_time: float = 0.1,
        speculation: Speculation = None,
    ) -> None:
        self._model = _model(model)
        self._most = whole(max_sequences, "max_sequences", least=1)
        self._prefill = Prefill(number(prefill_time, "prefill_time", least=0))
        self._decoding = Decoding(model, speculator_of(speculation, model))
        self._changed = changed = threading.Condition()
        self._waiting = Waiting()
        self._running: list[Request] = []
        self._closed = False
        self._is_full = False  # until a sequence ends
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
        client: Hashable = None,
        uses_cache: bool = True,
        **settings: Unpack[GenerationSettings],
    ) -> Stream:
        """Generate for a prompt; returns at once.

        Args:
            prompt: text, or token ids as they are.
            params: the settings, or
            settings: its fields, by keyword.
            adapter: of the model, for this prompt.
            client: whose prompt it is, anything hashable: where prompts wait, those of different
                clients take turns.
            uses_cache: take what the cache has of the prompt's beginning, instead of computing it.

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
        request = Request(ids, params, adapter, limit, constraint, client, uses_cache)
        self._check_working()  # a fork may have the lock held, by a thread that it lacks
        with self._changed:
            self._check_working()
            self._waiting.append(request)
            self._changed.notify()
        return Stream(request, self)

    def _check_working(self) -> None:
        if self._closed:
            raise ClosedError("the scheduler is closed")
        if not self._thread.is_alive():
            raise ClosedError(
                "the scheduler's thread is gone, as it failed or the process is a fork; "
                "make another scheduler"
            )

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
        self._closed = True
        if self._thread.is_alive():  # a fork has no such thread, and perhaps a lock that is held
            with self._changed:
                self._changed.notify()
        self._thread.join()
        self._decoding.close()

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
        self._decoding.end(request)
        request.end(error)

    def _step(self) -> None:
        with self._changed:
            given_up = self._waiting.take_given_up()
        given_up += [request for request in self._running if request.given_up]
        for request in given_up:
            self._end(request)
        self._leave()
        self._admit()
        while self._running:
            parts = self._parts()
            start = time.perf_counter()
            try:
                self._decoding.step(parts)
            except CacheFullError as error:
                if self._waits_for_room(error):
                    return
                continue
            self._running[0].crowded_since = None
            self._prefill.learn(parts, time.perf_counter() - start)
            break
        self._leave()

    def _leave(self) -> None:
        """Sequences that ended make room."""
        going_on = [request for request in self._running if not request.is_over]
        if len(going_on) < len(self._running):
            self._running, self._is_full = going_on, False

    def _admit(self) -> None:
        """Let waiting prompts in."""
        while len(self._running) < self._most and not (self._is_full and self._running):
            with self._changed:
                if not self._waiting or not self._has_room(self._waiting.first()):
                    return
                request = self._waiting.first()
            if request.uses_cache:
                request.hold(self._model.sequence(request.ids, request.adapter))
                self._prefill.follow_another(request, self._running)
            else:
                request.hold(self._model.sequence((), request.adapter))
            with self._changed:
                self._waiting.pop()  # only now: where the model fails, it is among those that end
            self._running.append(request)

    def _has_room(self, request: Request) -> bool:
        """Whether the cache has room for a prompt, and for what the running sequences go on to."""
        if not self._running:
            return True
        ahead = _TOKENS_AHEAD * (1 + len(self._running))
        return len(request.ids) + ahead <= self._model.free_cache_tokens

    def _parts(self) -> list[Part]:
        """Which sequences take part in a step, and with how many tokens."""
        parts = [Part(request, 1) for request in self._running if request.missing == 1]
        parts += self._prefill.parts(self._running, self._model)
        # Sequences of one adapter lie side by side.
        parts.sort(key=lambda part: id(part.request.adapter))
        return parts

    def _waits_for_room(self, error: CacheFullError) -> bool:
        """Send the sequence that came last back to wait: it is computed again later.

        Returns:
            whether there is but one, which waits for pages of sequences beside the scheduler.
        """
        request = self._running[-1]
        if len(self._running) == 1:
            if self._is_crowded_out(request):
                time.sleep(_PAUSE)
                return True
            self._end(request, error)
            self._leave()
            return False
        request.let_go()
        self._running.remove(request)
        with self._changed:
            self._waiting.put_first(request)
        self._is_full = True
        return False

    def _is_crowded_out(self, request: Request) -> bool:
        """Whether pages that the only text lacks are those of sequences beside the scheduler.

        They soon go back where texts are embedded or scored; but a caller may hold them for ever.
        """
        own = -(-request.held // _core.KV_PAGE) * _core.KV_PAGE
        if self._model.cache_tokens - self._model.free_cache_tokens <= own:
            return False
        now = time.monotonic()
        if request.crowded_since is None:
            request.crowded_since = now
        return now - request.crowded_since < _PATIENCE


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
