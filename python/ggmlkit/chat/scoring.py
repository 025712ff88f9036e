"""Log-probabilities of a prompt's own tokens, which echoes show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ggmlkit import _core
from ggmlkit.engine.completion import Token
from ggmlkit.engine.sequence import Chunk

if TYPE_CHECKING:
    from ggmlkit.chat.model import ChatModel

_PASS: Final = 128  # tokens whose logits are in memory at a time


def scored(served: ChatModel, ids: list[int], top: int) -> list[Token]:
    """The tokens of a prompt with log-probabilities; the first has none.

    Args:
        top: likeliest tokens that are told of each.

    Raises:
        CacheFullError: the cache has too few free pages.
    """
    found = [Token(ids[0], "")]
    with served.model.sequence(adapter=served.adapter) as sequence:
        for begin in range(0, len(ids) - 1, _PASS):
            end = min(begin + _PASS, len(ids) - 1)
            (rows,) = served.portions.step(served.model, [Chunk(sequence, ids[begin:end], "all")])
            for row, id in zip(rows, ids[begin + 1 : end + 1], strict=True):
                likeliest = _core.top_log_probabilities(row, top)
                found.append(Token(id, "", _core.log_probability(row, id), tuple(likeliest)))
    return found
