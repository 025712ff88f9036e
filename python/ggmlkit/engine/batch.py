"""What callers give a model to work on: chunks and adapters, checked; where there is no room."""

from __future__ import annotations

from collections.abc import Iterable

from ggmlkit import _core
from ggmlkit.arguments import shown
from ggmlkit.engine.sequence import Adapter, Chunk, Owner
from ggmlkit.errors import ArgumentError, ArgumentTypeError, CacheFullError

LOGITS_OF = {
    "none": _core.LogitsOf.NONE, "last": _core.LogitsOf.LAST, "all": _core.LogitsOf.ALL,
}  # fmt: skip


def chunks_of(batch: Iterable[Chunk]) -> list[Chunk]:
    """The chunks of a step.

    Raises:
        ArgumentTypeError: it is anything else.
    """
    wrong: object = batch
    if isinstance(batch, Iterable):
        found = list(batch)
        wrong = next((each for each in found if not isinstance(each, Chunk)), None)
        if wrong is None:
            return found
    raise ArgumentTypeError(
        f"a batch must be a list of gk.Chunk(sequence, tokens), not {shown(wrong)}"
    )


def rows_of(chunk: Chunk, tokens: int) -> int:
    """How many rows a chunk of so many tokens gives.

    Raises:
        ArgumentError: its ``logits`` is none of the three words.
    """
    if chunk.logits not in LOGITS_OF:
        raise ArgumentError(f"logits is {chunk.logits!r}, not 'none', 'last' or 'all'")
    return {"none": 0, "last": 1, "all": tokens}[chunk.logits]


def check_adapter(adapter: Adapter | None, model: Owner) -> None:
    """Check that an adapter is of this model.

    Raises:
        ArgumentError: it is another's, or no adapter.
    """
    if adapter is None:
        return
    if not isinstance(adapter, Adapter):
        raise ArgumentTypeError(
            f"adapter must be what model.load_adapter returns, not {shown(adapter)}"
        )
    if adapter.model is not model:
        raise ArgumentError("the adapter is another model's; load it from this model")


def cache_full(error: _core.OutOfPages) -> CacheFullError:
    """What a caller is told where the engine finds too few pages."""
    return CacheFullError(f"{error}; close sequences, or open the model with more cache_tokens")
