"""What fits a context, and how a text goes on where it is full."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ggmlkit.errors import ArgumentError, ModelError

if TYPE_CHECKING:
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sampling import SamplingParams

_LEAST_SHIFTED = 4  # tokens behind those that are kept


def check_fits(model: Model, tokens: int, name: str) -> None:
    """Raise ModelError if so many tokens do not fit the context; ``name`` is what they are."""
    if tokens > model.context:
        raise ModelError(
            f"{name} of {tokens} tokens does not fit the context of {model.context}; "
            f"context=… sets a longer one (the model was trained for {model.config.context})"
        )


def room_for(model: Model, prompt: list[int], params: SamplingParams) -> int:
    """Tokens that may follow a prompt.

    Raises:
        ModelError: the prompt does not fit the context.
        ArgumentError: the tokens to keep of it leave no room to go on.
    """
    check_fits(model, len(prompt), "the prompt")
    if params.context_shift:
        kept_tokens(len(prompt), params, model.context)
        return sys.maxsize if params.max_tokens is None else params.max_tokens
    # The last token needs no room: what would follow it is not computed.
    room = model.context - len(prompt) + 1
    return room if params.max_tokens is None else min(params.max_tokens, room)


def kept_tokens(prompt: int, params: SamplingParams, context: int) -> int:
    """How many tokens of a prompt of so many stay where the context is full.

    Raises:
        ArgumentError: they leave no room to go on.
    """
    # The first one begins every text in training, and attention leans on it.
    kept = prompt if params.keep < 0 else max(1, min(params.keep, prompt))
    if kept > context - _LEAST_SHIFTED:
        raise ArgumentError(
            f"keep: {kept} tokens leave too little of the context of {context} to go on; at most "
            f"{context - _LEAST_SHIFTED} can be kept"
        )
    return kept


def shifted(ids: list[int], prompt: int, params: SamplingParams, context: int) -> list[int]:
    """The ids that a text goes on with: those kept, and the later half of the others.

    Args:
        ids: all so far.
        prompt: how many of them were the prompt.
    """
    kept = kept_tokens(prompt, params, context)
    return ids[:kept] + ids[len(ids) - (context - kept) // 2 :]
