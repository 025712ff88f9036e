"""Sequences of tokens, what changes a model for them, and what a step appends to them."""

from __future__ import annotations

import os
from collections import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Union

from ggmlkit import _core
from ggmlkit.arguments import whole
from ggmlkit.closing import Closing
from ggmlkit.engine.in_step import refuse_in_step
from ggmlkit.errors import ClosedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
LogitsOf = Literal["none", "last", "all"]
TokenIds = Union[abc.Sequence[int], "NDArray[np.integer[Any]]"]


class Owner(Protocol):
    """The model that sequences and adapters belong to."""

    def save_sequence(self, sequence: Sequence, path: str | os.PathLike[str]) -> None: ...


@dataclass(frozen=True)
class Chunk:
    """Tokens to append to a sequence in one step.

    Attributes:
        sequence: of the model that steps; each at most once in a step.
        tokens: ids, at least one.
        logits: which of the tokens give logits.
    """

    sequence: Sequence
    tokens: TokenIds
    logits: LogitsOf = "last"


class Adapter:
    """LoRA adapters of a model, joined; sequences that have it share it.

    :meth:`Model.load_adapter` makes one.
    """

    def __init__(self, model: Owner, compiled: _core.Adapter, digest: str) -> None:
        self.model = model
        self.compiled = compiled
        self.digest = digest  # of its matrices

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.compiled.nbytes

    def __repr__(self) -> str:
        return f"Adapter({self.nbytes} bytes)"


class Sequence(Closing):
    """Tokens, and their keys and values; :meth:`Model.sequence` makes one.

    Its pages of the cache go back when it is closed or no longer referred to. One call at a time
    works on a sequence; another thread's waits for it.
    """

    def __init__(self, model: Owner, compiled: _core.Sequence, adapter: Adapter | None) -> None:
        self.model = model
        self._compiled: _core.Sequence | None = compiled
        self._adapter = adapter

    @property
    def adapter(self) -> Adapter | None:
        """What changes the weights for it."""
        return self._adapter

    @property
    def tokens(self) -> tuple[int, ...]:
        """The ids of its tokens."""
        return tuple(self.compiled.tokens.tolist())

    def __len__(self) -> int:
        return len(self.compiled)

    def fork(self) -> Sequence:
        """Another sequence of the same tokens. They share memory until one of them goes on."""
        return Sequence(self.model, self.compiled.fork(), self._adapter)

    def truncate(self, n: int) -> int:
        """Forget the tokens after the first ``n``; returns how many are left.

        Those are ``n``, or all where there are fewer. Where a model's layers have a window, and
        more than some 256 tokens are forgotten, none are left.

        Raises:
            ArgumentError: ``n`` is negative.
        """
        return self.compiled.truncate(min(whole(n, "n", least=0), len(self)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, for :meth:`Model.load_sequence`. An existing file is replaced."""
        self.model.save_sequence(self, path)

    def close(self) -> None:
        """Give its pages back. Twice is no error."""
        self._compiled = None

    @property
    def compiled(self) -> _core.Sequence:
        """The compiled sequence.

        Raises:
            ClosedError: it is closed.
            ModelError: an observer, or a signal's handler in the middle of its step, asks for it.
        """
        refuse_in_step(self)
        if self._compiled is None:
            raise ClosedError("the sequence is closed; start another one")
        return self._compiled

    def __repr__(self) -> str:
        if self._compiled is None:
            return "Sequence(closed)"
        return f"Sequence({len(self)} tokens)"
