"""Whole answers, as they are put together of their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ggmlkit.chat.answer_reader import AnswerReader, Parts, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ggmlkit.engine.completion import Token
    from ggmlkit.text.tool_calls import ToolCall

EndReason = Literal["stop", "length", "tool_calls"]


class Whole:
    """A whole answer.

    Attributes:
        calls: of tools.
        tokens: all of it.
        reasoning_tokens: of them, those of thoughts.
        reason: why it ended.
    """

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.tokens: list[Token] = []
        self.reasoning_tokens = 0
        self.reason: EndReason = "length"
        self._contents: list[str] = []
        self._thoughts: list[str] = []

    @property
    def content(self) -> str:
        """Its text."""
        return "".join(self._contents)

    @property
    def reasoning(self) -> str:
        """Its thoughts."""
        return "".join(self._thoughts)

    def add(self, parts: Parts, token: Token | None) -> None:
        """What is certain with a token; None: with the end."""
        self._contents.append(parts.content)
        self._thoughts.append(parts.reasoning)
        self.calls += parts.calls
        if token is not None:
            self.tokens.append(token)
            self.reasoning_tokens += is_thought(parts)


def is_thought(parts: Parts) -> bool:
    """Whether the token that gave these parts counts as one of thoughts."""
    return bool(parts.reasoning)


def end_reason(last: Token | None, calls: Sequence[ToolCall]) -> EndReason:
    """Why an answer of these calls ended, by its last token; without one, none was asked for."""
    if calls:
        return "tool_calls"
    return (last.finish_reason if last else None) or "length"


def read(tokens: Iterable[Token], reading: Reading) -> Whole:
    """The answer of some tokens, of which no more are taken than it may have."""
    reader, whole = AnswerReader(reading), Whole()
    for token in tokens:
        whole.add(reader.push(token), token)
        if reader.is_full:
            break
    whole.add(reader.flush(), None)
    whole.reason = end_reason(whole.tokens[-1] if whole.tokens else None, whole.calls)
    return whole
