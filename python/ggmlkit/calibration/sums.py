"""Sums of squares of what enters each matrix of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.engine.fused_tensors import fused_rows
from ggmlkit.errors import ModelError
from ggmlkit.io.gguf_view import as_gguf
from ggmlkit.io.imatrix import ImatrixEntry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine.model import Model

    Floats = NDArray[np.float32]
    Wide = NDArray[np.float64]


@dataclass
class _Added:
    """What the steps since the last commit add to one entry."""

    sums: Wide  # (matrices, columns)
    counts: Wide  # (matrices,)


class ColumnSums:
    """Sums of squares, of whole steps only: an interrupted step changes nothing.

    Args:
        entries: to go on from.
    """

    def __init__(self, entries: Mapping[str, ImatrixEntry] | None = None) -> None:
        self.entries: dict[str, ImatrixEntry] = dict(entries or {})
        self._added: dict[str, _Added] = {}

    def add(
        self,
        names: tuple[str, ...],
        x: Floats,
        experts: NDArray[np.integer] | None = None,
        matrices: int = 1,
    ) -> None:
        """Add what entered matrices.

        Args:
            names: of the matrices, or of tensors that hold several.
            x: float32 ``(tokens, columns)``; with experts also ``(tokens, chosen, columns)``,
                where each of a token's experts gets another input.
            experts: numbers ``(tokens, chosen)`` of the matrices that each token enters.
            matrices: how many a tensor holds.

        Raises:
            ModelError: a value is not finite.
        """
        sums = np.zeros((matrices, x.shape[-1]))
        counts = np.zeros(matrices)
        if experts is None:
            sums[:] = _squares(x)
            counts[:] = len(x)
        else:
            for number in np.unique(experts):
                token, place = np.nonzero(experts == number)
                entering = x[token] if x.ndim == 2 else x[token, place]
                sums[number] = _squares(entering)
                counts[number] = len(entering)
        if not np.isfinite(sums).all():
            raise ModelError(
                f"what enters {names[0]} is not finite (`ggmlkit verify` shows weights that are "
                "not)"
            )
        for name in names:
            added = self._added.get(name)
            if added is None:
                self._added[name] = _Added(sums.copy(), counts.copy())
            else:
                added.sums += sums
                added.counts += counts

    def commit(self) -> None:
        """The steps since the last commit are whole."""
        for name, added in self._added.items():
            before = self.entries.get(name)
            if before is not None:
                added.sums += before.sums.reshape(added.sums.shape)
                added.counts += before.counts
            # float32 is what files hold: work that goes on from one comes to the same bits.
            self.entries[name] = ImatrixEntry(
                added.sums.astype(np.float32), added.counts.astype(np.float32)
            )
        self._added.clear()

    def discard(self) -> None:
        """Forget the steps since the last commit."""
        self._added.clear()


def _squares(x: Floats) -> Floats:
    found: Floats = np.square(x).sum(axis=0)
    return found


class FileNames:
    """The names that a model's file has for the matrices that observers see.

    Args:
        model: the model.
        output: whether the matrix that makes the logits has one.
    """

    def __init__(self, model: Model, output: bool) -> None:
        _, self.tensors = as_gguf(model.file)
        self._owners = {
            part: name
            for name in self.tensors
            for part in fused_rows(name, self.tensors, model.config) or ()
        }
        self._left_out = () if output else (OUTPUT, EMBEDDINGS)

    def __call__(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The tensors of the file that hold these matrices, each once."""
        owners = (self._owners.get(name, name) for name in names)
        return tuple(dict.fromkeys(name for name in owners if name not in self._left_out))
