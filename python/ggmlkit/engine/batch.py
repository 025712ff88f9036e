"""What callers give a model to work on: chunks and adapters, checked; where there is no room."""

from __future__ import annotations

from collections.abc import Iterable

from ggmlkit import _core
from ggmlkit.arguments import shown
from ggmlkit.engine.sequence import Adapter, Chunk, Owner, Sequence
from ggmlkit.errors import ArgumentError, ArgumentTypeError, CacheFullError

LOGITS_OF = {
    "none": _core.LogitsOf.NONE, "last": _core.LogitsOf.LAST, "all": _core.LogitsOf.ALL,
}  # fmt: skip


def chunks_of(batch: Iterable[Chunk]) -> list[Chunk]:
    """The chunks of a step.

    Raises:
        ArgumentError: one is anything else, of no sequence, or wants logits of unknown tokens.
    """
    wrong: object = batch
    if isinstance(batch, Iterable):
        found = list(batch)
        wrong = next((each for each in found if not isinstance(each, Chunk)), None)
        if wrong is None:
            return list(map(_checked, found))
    raise ArgumentTypeError(
        f"a batch must be a list of gk.Chunk(sequence, tokens), not {shown(wrong)}"
    )


def _checked(chunk: Chunk) -> Chunk:
    if not isinstance(chunk.sequence, Sequence):
        raise ArgumentTypeError(
            f"a chunk's sequence must be a gk.Sequence, not {shown(chunk.sequence)}"
        )
    if not isinstance(chunk.logits, str) or chunk.logits not in LOGITS_OF:
        raise ArgumentError(f"logits is {shown(chunk.logits)}, not 'none', 'last' or 'all'")
    return chunk


def rows_of(chunk: Chunk, tokens: int) -> int:
    """How many rows a chunk of so many tokens gives."""
    return {"none": 0, "last": 1, "all": tokens}[chunk.logits]


def adapter_of(model: Owner, adapter: Adapter | None) -> _core.Adapter | None:
    """What is compiled of an adapter; None for None.

    Raises:
        ArgumentError: it is another model's, or no adapter.
    """
    if adapter is None:
        return None
    if not isinstance(adapter, Adapter):
        raise ArgumentTypeError(
            f"adapter must be what model.load_adapter returns, not {shown(adapter)}"
        )
    if adapter.model is not model:
        raise ArgumentError("the adapter is another model's; load it from this model")
    return adapter.compiled


def cache_full(error: _core.OutOfPages) -> CacheFullError:
    """What a caller is told where the engine finds too few pages."""
    return CacheFullError(f"{error}; close sequences, or open the model with more cache_tokens")
