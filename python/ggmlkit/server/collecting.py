"""Whole answers, for responses that are not streamed."""

from __future__ import annotations

from contextlib import aclosing

from ggmlkit.chat.answer_reader import Parts
from ggmlkit.chat.whole import Whole
from ggmlkit.server.generating import Delta, Generation


async def collected(generation: Generation, choices: int) -> list[Whole]:
    """The answers of a generation of so many choices, at their end.

    Raises:
        RequestError: the model fails.
    """
    found = [Whole() for _ in range(choices)]
    async with aclosing(generation.events()) as events:
        async for each in events:
            whole = found[each.choice]
            if isinstance(each, Delta):
                whole.add(Parts(each.content, each.reasoning, each.calls), each.token)
            else:
                whole.reason = each.reason
    return found
