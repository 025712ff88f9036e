"""Answers as blocks in their order: thoughts, texts, calls of tools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Literal, NamedTuple

from ggmlkit.chat.whole import EndReason
from ggmlkit.server.generating import Delta, Event

if TYPE_CHECKING:
    from ggmlkit.engine.completion import Token
    from ggmlkit.text.tool_calls import ToolCall

Kind = Literal["thoughts", "text", "call"]


@dataclass
class Block:
    """A part of an answer, as far as it is there.

    Attributes:
        kind: what it is.
        place: among the blocks of the answer.
        call: of a tool; None for other kinds.
        tokens: of a text, where their log-probabilities may be wanted.
        id: that nobody guesses.
        is_whole: nothing more comes.
    """

    kind: Kind
    place: int
    call: ToolCall | None = None
    tokens: list[Token] = field(default_factory=list)
    id: str = field(default_factory=lambda: token_hex(16))
    is_whole: bool = False
    _pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Of thoughts and texts."""
        return "".join(self._pieces)

    def add(self, text: str) -> None:
        """Go on with a text."""
        self._pieces.append(text)


class Begun(NamedTuple):
    """A block begins; it is empty, but for a call, which is there as a whole."""

    block: Block


class Grown(NamedTuple):
    """A block of thoughts or text goes on.

    Attributes:
        block: with the text.
        text: that is new.
        tokens: that are new.
    """

    block: Block
    text: str
    tokens: tuple[Token, ...]


class Ended(NamedTuple):
    """A block is whole."""

    block: Block


Change = Begun | Grown | Ended


class Blocks:
    """Puts what comes of one answer into blocks.

    White space alone, beside thoughts or calls, is no block. An answer of nothing is an empty text.

    Attributes:
        all: the blocks so far.
        reason: why the answer ended; None: it has not.
        stop: the stop string that ended it, or None.
    """

    def __init__(self) -> None:
        self.all: list[Block] = []
        self.reason: EndReason | None = None
        self.stop: str | None = None
        self._space = ""  # which may begin a text
        self._tokens: list[Token] = []  # of a text, whose text has not come yet

    def push(self, event: Event) -> Iterator[Change]:
        """What an event of the answer changes; take all of it."""
        if not isinstance(event, Delta):
            self.reason = event.reason
            self.stop = event.token.stop if event.token is not None else None
            yield from self._end()
            return
        if event.reasoning:
            yield from self._grow("thoughts", event.reasoning)
        if event.token is not None and not event.reasoning:
            self._tokens.append(event.token)
        if event.content:
            yield from self._text(event.content)
        for call in event.calls:
            yield from self._call(call)

    def _text(self, text: str) -> Iterator[Change]:
        if not self._is_within("text"):
            text, self._space = self._space + text, ""
            if text.isspace():
                self._space = text
                return
        yield from self._grow("text", text)

    def _grow(self, kind: Kind, text: str) -> Iterator[Change]:
        if not self._is_within(kind):
            yield from self._close()
            yield Begun(self._added(Block(kind, len(self.all))))
        block = self.all[-1]
        block.add(text)
        tokens, self._tokens = tuple(self._tokens), []
        if kind == "text":
            block.tokens += tokens
        yield Grown(block, text, tokens)

    def _call(self, call: ToolCall) -> Iterator[Change]:
        yield from self._close()
        self._space, self._tokens = "", []
        yield Begun(self._added(Block("call", len(self.all), call)))
        yield from self._close()

    def _end(self) -> Iterator[Change]:
        if self._space and not self.all:
            yield from self._grow("text", self._space)
        elif not self.all:
            yield Begun(self._added(Block("text", 0)))
        yield from self._close()

    def _is_within(self, kind: Kind) -> bool:
        return bool(self.all) and self.all[-1].kind == kind and not self.all[-1].is_whole

    def _added(self, block: Block) -> Block:
        self.all.append(block)
        return block

    def _close(self) -> Iterator[Change]:
        if self.all and not self.all[-1].is_whole:
            self.all[-1].is_whole = True
            yield Ended(self.all[-1])
