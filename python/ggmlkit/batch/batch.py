"""Answers the lines of a batch: many at once, and in their order."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ggmlkit.arguments import whole
from ggmlkit.batch.envelope import is_openai, openai_failure
from ggmlkit.batch.jobs import Asking, Job, PlainJob, as_json, plain_failure
from ggmlkit.batch.lines import Line
from ggmlkit.chat.errors import RequestError, as_failure, as_request_error, internal_error
from ggmlkit.chat.form import chat_form
from ggmlkit.chat.model import ChatModel
from ggmlkit.chat.whole import Whole, read
from ggmlkit.closing import Closing
from ggmlkit.engine.completion import Token
from ggmlkit.engine.model import Model
from ggmlkit.engine.request import Stream
from ggmlkit.engine.result import Usage, usage_of
from ggmlkit.engine.sampling import chosen_params
from ggmlkit.engine.scheduler import Scheduler
from ggmlkit.errors import ArgumentError, CacheFullError, GgmlkitError, ModelError
from ggmlkit.text.named_templates import NamedTemplate

if TYPE_CHECKING:
    from ggmlkit.engine.sequence import Adapter
    from ggmlkit.engine.speculation.choice import Speculation

_FORMAT = 2  # of the output; another one is not gone on with
# What is held for lines that are answered before an earlier one is.
_LINES_HELD = 64  # for each prompt that is generated for
_TOKENS_HELD = 400_000


@dataclass(frozen=True)
class Answer:
    """A line of output.

    Attributes:
        line: that it answers.
        data: JSON and a line break, in UTF-8.
        is_failure: the line can't be answered; the data say why.
        tokens: that were generated for it.
    """

    line: Line
    data: bytes
    is_failure: bool
    tokens: int = 0


@dataclass
class _Pending:
    """A line that is being answered.

    Attributes:
        fingerprint: of the line.
        id: that the answer gets.
        is_openai: it is in OpenAI's form.
        job: what it asks for; None if that can't be told.
        streams: of the job's requests.
        error: why it can't be answered; None if it can.
    """

    line: Line
    fingerprint: str
    id: object
    is_openai: bool = False
    job: Job | None = None
    streams: list[Stream] = field(default_factory=list)
    error: RequestError | None = None

    @property
    def tokens_held(self) -> int:
        """Tokens of its prompts, and of its answers so far."""
        if self.job is None:
            return 0
        prompts = sum(len(ids) for ids, _ in self.job.requests)
        return prompts + sum(stream.stats.decode_tokens for stream in self.streams)

    def failure(self) -> dict[str, Any]:
        """The line of output that says the error."""
        error = self.error or internal_error()
        if self.is_openai:
            return openai_failure(self.fingerprint, self.id, error)
        return plain_failure(self.fingerprint, self.id, error.message)


class Batch(Closing):
    """Answers lines of prompts with one model; ``with`` closes it.

    One thread at a time may take answers. A line that can't be answered has an answer that says
    why; it never ends the batch.

    Args:
        model: that answers. ``parallel`` prompts are generated for at a time as far as its cache
            has room.
        settings: of :class:`ggmlkit.SamplingParams`, by name, for the lines that have none of
            their own.
        adapter: of the model, for all lines.
        template: the chat template; None for the file's own.
        variables: more for the template.
        parallel: prompts that are generated for at a time.
        speculation: as for :class:`ggmlkit.Scheduler`.

    Raises:
        ArgumentError: a setting, or ``parallel``, is out of range or of a wrong type.
    """

    def __init__(
        self,
        model: Model,
        settings: Mapping[str, Any] = MappingProxyType({}),
        *,
        adapter: Adapter | None = None,
        template: NamedTemplate | None = None,
        variables: Mapping[str, Any] = MappingProxyType({}),
        parallel: int = 16,
        speculation: Speculation = None,
    ) -> None:
        self._parallel = whole(parallel, "parallel", least=1)
        chosen_params(None, dict(settings))  # type: ignore[arg-type]  # refused at once
        source, stops = (None, ()) if template is None else template
        chat = chat_form(model.tokenizer, source, stops)
        served = ChatModel(model.file.path.stem, model, adapter, chat)
        self._asking = Asking(served, dict(settings), dict(variables))
        self._key = _key(self._asking)
        self._scheduler = Scheduler(model, max_sequences=self._parallel, speculation=speculation)

    def close(self) -> None:
        """Give up what is being generated. Twice is no error."""
        self._scheduler.close()

    def fingerprint(self, line: Line) -> str:
        """A digest of a line, the model and the settings: what its answer depends on."""
        return hashlib.sha256(self._key + line.digest).hexdigest()[:16]

    def answers(self, lines: Iterable[Line]) -> Iterator[Answer]:
        """The answer of each line, in their order.

        Lines are read as they are needed: those that are generated for, as many that wait, and
        those whose answers wait for an earlier one.

        Raises:
            GgmlkitError: the model can't go on. Errors of reading the lines come as they are.
        """
        pending: deque[_Pending] = deque()
        source = iter(lines)
        try:
            self._fill(pending, source)
            while pending:
                answer = self._finished(pending, source)
                pending.popleft()
                yield answer
                self._fill(pending, source)
        finally:
            for each in pending:
                _give_up(each)

    def _fill(self, pending: deque[_Pending], source: Iterator[Line]) -> None:
        """Read lines while the scheduler has few that wait, and not too much is held."""
        while not pending or (
            self._scheduler.waiting < self._parallel
            and len(pending) < _LINES_HELD * self._parallel
            and sum(each.tokens_held for each in pending) < _TOKENS_HELD
        ):
            line = next(source, None)
            if line is None:
                return
            pending.append(self._begun(line))

    def _begun(self, line: Line) -> _Pending:
        """A line, and the streams of what it asks for."""
        begun = _Pending(line, self.fingerprint(line), line.number)
        try:
            given = as_json(line)
            begun.is_openai = is_openai(given)
            begun.id = given.get("custom_id") if begun.is_openai else given.get("id", line.number)
            if begun.is_openai:
                begun.job = _openai_job(given, begun.fingerprint, self._asking)
            else:
                begun.job = PlainJob(given, begun.id, begun.fingerprint, self._asking)
            adapter = self._asking.served.adapter
            for ids, params in begun.job.requests:
                stream = self._scheduler.submit(
                    ids, params, adapter=adapter, uses_cache=begun.job.uses_cache
                )
                begun.streams.append(stream)
        except (ArgumentError, ModelError, RequestError) as error:
            _give_up(begun)
            begun.error = self._refusal(error)
        return begun

    def _refusal(self, error: GgmlkitError | RequestError) -> RequestError:
        """What the line of output says of an error."""
        if isinstance(error, RequestError):
            return error
        return as_request_error(error, self._asking.served.path, self._asking.served.name)

    def _finished(self, pending: deque[_Pending], source: Iterator[Line]) -> Answer:
        """The answer of the first line that is pending; lines go on to be read meanwhile."""
        first = pending[0]
        wholes: list[Whole] = []
        usages: list[Usage] = []
        if first.job is not None and first.error is None:
            for stream in first.streams:
                try:
                    wholes.append(read(self._read(stream, pending, source), first.job.reading))
                except ModelError as error:
                    served = self._asking.served
                    first.error = as_failure(error, served.path, served.name)
                    break
                usages.append(usage_of(stream.stats, len(wholes[-1].tokens)))
        _give_up(first)
        if first.error is not None or first.job is None:
            return Answer(first.line, as_line(first.failure()), is_failure=True)
        tokens = sum(usage.completion_tokens for usage in usages)
        return Answer(first.line, as_line(first.job.answer(wholes, usages)), False, tokens)

    def _read(
        self, stream: Stream, pending: deque[_Pending], source: Iterator[Line]
    ) -> Iterator[Token]:
        """The tokens of a stream; lines go on to be read meanwhile."""
        is_begun = False
        try:
            for token in stream:
                yield token
                is_begun = True
                self._fill(pending, source)
        except CacheFullError:
            if not is_begun:
                raise  # else it ends as a full context does


def _openai_job(line: Mapping[str, Any], fingerprint: str, asking: Asking) -> Job:
    try:
        from ggmlkit.batch.openai import OpenAIJob  # deferred: pydantic is an extra
    except ImportError as error:
        if error.name != "pydantic":
            raise
        raise ImportError(
            "lines in the form of OpenAI's batch API need the extra server, the package pydantic: "
            'in a clone of ggmlkit, pip install ".[server]"'
        ) from None
    return OpenAIJob(line, fingerprint, asking)


def as_line(value: Mapping[str, Any]) -> bytes:
    """An object as a line of JSON."""
    try:
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, as an id may have
        return json.dumps(value).encode() + b"\n"


def _give_up(pending: _Pending) -> None:
    for stream in pending.streams:
        stream.close()


def _key(asking: Asking) -> bytes:
    """What the answers of all lines depend on."""
    served = asking.served
    parts = [
        _FORMAT,
        served.model.fingerprint(served.adapter),
        served.model.context,
        None if served.chat is None else [served.chat.template, served.chat.stops],
        asking.variables,
        asking.settings,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).digest()
