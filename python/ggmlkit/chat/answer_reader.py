"""Takes an answer apart while it is written: thoughts, content, calls of tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ggmlkit.engine.completion import Token
from ggmlkit.text.reasoning import ReasoningSplitter, Tags
from ggmlkit.text.tool_calls import ToolCall, ToolCallParser


class Parts(NamedTuple):
    """What is certain of an answer with its next piece."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How answers of a request are read.

    Attributes:
        tags: around thoughts that are split off; None: thoughts are content.
        thinking: the prompt ends within thoughts.
        form: of the calls that are looked for; None: calls are content.
        marks: texts of control tokens by id, see :class:`ggmlkit.chat.form.ChatForm`.
        most_calls: after so many the answer ends; None for any number.
    """

    tags: Tags | None = None
    thinking: bool = False
    form: str | None = None
    marks: Mapping[int, str] = field(default_factory=dict)
    most_calls: int | None = None


PLAIN = Reading()


class AnswerReader:
    """Reads one answer.

    Attributes:
        calls: found so far.
        is_full: it has as many calls as it may have.
    """

    def __init__(self, reading: Reading = PLAIN) -> None:
        self._marks = reading.marks
        self._most = reading.most_calls
        self._splitter = (
            ReasoningSplitter(thinking=reading.thinking, tags=reading.tags)
            if reading.tags is not None
            else None
        )
        self._parser = None if reading.form is None else ToolCallParser(reading.form)
        self._is_plain = self._splitter is None and self._parser is None
        self._is_begun = False  # the content
        self._has_thoughts = False
        self.calls: list[ToolCall] = []

    @property
    def is_full(self) -> bool:
        """Whether it has as many calls as it may have."""
        return self._most is not None and len(self.calls) >= self._most

    def push(self, token: Token) -> Parts:
        """The parts that are certain with the next token."""
        if self._is_plain:
            return Parts(token.text)
        mark = self._marks.get(token.id)
        return self._split(token.text if mark is None else token.text + mark)

    def flush(self) -> Parts:
        """The rest at the end."""
        if self._is_plain:
            return Parts()
        reasoning, content = self._splitter.flush() if self._splitter else ("", "")
        reasoning, content = self._trimmed(reasoning, content)
        found = self._parsed(content)
        if self._parser is None:
            return Parts(found.content, reasoning)
        rest = self._parser.flush()
        calls = (*found.calls, *self._kept(rest.calls))
        return Parts(found.content + rest.content, reasoning, calls)

    def _split(self, text: str) -> Parts:
        if self._splitter is None:
            return self._parsed(text)
        reasoning, content = self._trimmed(*self._splitter.push(text))
        found = self._parsed(content) if content else Parts()
        return Parts(found.content, reasoning, found.calls)

    def _trimmed(self, reasoning: str, content: str) -> tuple[str, str]:
        """The same without white space before the thoughts, and between them and the content."""
        if reasoning and not self._has_thoughts:
            reasoning = reasoning.lstrip()
            self._has_thoughts = bool(reasoning)
        if content and not self._is_begun:
            content = content.lstrip() if self._has_thoughts else content
            self._is_begun = bool(content)
        return reasoning, content

    def _parsed(self, text: str) -> Parts:
        if self._parser is None:
            return Parts(text)
        content, calls = self._parser.push(text)
        return Parts(content, "", self._kept(calls))

    def _kept(self, calls: list[ToolCall]) -> tuple[ToolCall, ...]:
        """The calls, as far as there may be more."""
        room = len(calls) if self._most is None else self._most - len(self.calls)
        kept = calls[: max(0, room)]
        self.calls += kept
        return tuple(kept)
