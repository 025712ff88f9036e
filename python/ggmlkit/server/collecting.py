"""Whole answers, for responses that are not streamed."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ggmlkit.engine.completion import Token
from ggmlkit.server.generating import Delta, EndReason, Generation

if TYPE_CHECKING:
    from ggmlkit.text.tool_calls import ToolCall


@dataclass
class Whole:
    """A whole answer.

    Attributes:
        content: its text.
        reasoning: its thoughts.
        calls: of tools.
        tokens: all of it.
        reason: why it ended.
    """

    content: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    reason: EndReason = "length"


async def collected(generation: Generation, choices: int) -> list[Whole]:
    """The answers of a generation of so many choices, at their end.

    Raises:
        RequestError: the model fails.
    """
    found = [Whole() for _ in range(choices)]
    contents: list[list[str]] = [[] for _ in found]
    thoughts: list[list[str]] = [[] for _ in found]
    async with aclosing(generation.events()) as events:
        async for each in events:
            whole = found[each.choice]
            if isinstance(each, Delta):
                contents[each.choice].append(each.content)
                thoughts[each.choice].append(each.reasoning)
                whole.calls += each.calls
                if each.token is not None:
                    whole.tokens.append(each.token)
            else:
                whole.reason = each.reason
    for whole, content, thought in zip(found, contents, thoughts, strict=True):
        whole.content, whole.reasoning = "".join(content), "".join(thought)
    return found
