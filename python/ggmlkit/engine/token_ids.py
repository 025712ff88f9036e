"""Token ids that callers give, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.arguments import shown
from ggmlkit.arrays import integer_row
from ggmlkit.errors import ArgumentError, ArgumentTypeError, OutOfRangeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine.sequence import TokenIds
    from ggmlkit.text.tokenizer import Tokenizer


def token_ids(tokens: TokenIds, vocab: int) -> NDArray[np.int32]:
    """Ids as the engine takes them: int32 ``(tokens,)``.

    Raises:
        ArgumentError: they are not whole numbers of a vocabulary of this size, or none.
    """
    given: object = tokens
    if isinstance(given, str):
        raise ArgumentTypeError(
            f"tokens must be token ids, not {shown(given)}; tokenizer.encode gives a text's"
        )
    ids = integer_row(tokens, "tokens")
    # Checked before narrowing: 2**32 must not turn into token 0.
    bad = ids[(ids < 0) | (ids >= vocab)]
    if bad.size:
        raise OutOfRangeError(f"token {bad[0]} is not in the vocabulary of {vocab} tokens")
    return ids.astype(np.int32)


def is_empty(tokens: TokenIds) -> bool:
    """Whether they are a row of no tokens."""
    try:
        return len(tokens) == 0
    except TypeError:  # no row at all
        return False


def prompt_ids(
    prompt: str | TokenIds,
    vocab: int,
    tokenizer: Callable[[], Tokenizer],
    name: str = "prompt",
) -> list[int]:
    """Ids of a prompt: text, or ids as they are. ``name`` is what errors call it.

    Raises:
        ArgumentError: it has no tokens, one is outside the vocabulary, or it is another thing.
    """
    try:
        if isinstance(prompt, (bytes, bytearray)):  # which would pass for ids
            raise TypeError
        ids = tokenizer().encode(prompt) if isinstance(prompt, str) else list(map(index, prompt))
    except TypeError:
        raise ArgumentTypeError(
            f"{name} must be a str or token ids, not {shown(prompt)}{_hint(prompt)}"
        ) from None
    if not ids:
        raise ArgumentError(f"{name} has no tokens, so there is nothing to go on from")
    token_ids(ids, vocab)
    return ids


def _hint(prompt: object) -> str:
    """The way out for a prompt of a wrong type."""
    first = next(iter(prompt), None) if isinstance(prompt, (list, tuple)) else None
    if isinstance(first, str):
        return " of texts; give one at a time, or many to generate_batch or gk.Scheduler"
    if isinstance(first, Mapping):
        return " of messages; Model.chat_prompt makes a prompt of them"
    return ""
