"""Walks through a model's layers: what enters each one's matrices, on samples of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import EMBEDDINGS
from ggmlkit.calibration.hessians import CrossSum, Hessian
from ggmlkit.calibration.matrices import Entering
from ggmlkit.engine.fused_tensors import fused_rows
from ggmlkit.engine.layers import Inputs, embedded, run_layer
from ggmlkit.errors import ModelError
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.calibration.samples import Samples
    from ggmlkit.calibration.spilling import Spilling

    Floats = NDArray[np.float32]

# Tokens held out that are compared: an error is a mean over many outputs of each.
_MOST_HELD_OUT = 1024
# Added to the mean of a Hessian's diagonal where a correction is solved for: directions that few
# tokens had say little.
_DAMPING = 0.01
# Part of the mean of a Hessian's diagonal that is added to the diagonal of a matrix that is both
# embeddings and output.
_TABLE_DAMPING = 0.3


@dataclass(frozen=True)
class Text:
    """A model and what it reads.

    Attributes:
        hparams: of the model.
        tensors: of the model, by gguf name.
        samples: of the text.
        arrays: where large arrays are kept.
        threads: at most so many; all that the process may use when None.
    """

    hparams: Hparams
    tensors: Mapping[str, Tensor]
    samples: Samples
    arrays: Spilling
    threads: int | None = None

    def beginning(self, embeddings: Tensor) -> Floats:
        """Hidden states before the first layer: those of the samples held out are last."""
        ids = self.samples.all
        states = self.arrays.zeros((*ids.shape, self.hparams.dim), np.float32)
        for place, sample in enumerate(ids):
            states[place] = embedded(self.hparams, embeddings, sample)
        return states

    def advanced(
        self, layer: int, states: Floats, tensors: Mapping[str, Tensor], *, bits: int = 8
    ) -> None:
        """Run the samples through a layer of these tensors; `states` are then those behind it.

        ``bits`` are those of activations, as of a model; by default those that files run with.
        """
        normed = layer == self.hparams.layers - 1
        for _ in run_layer(
            self.hparams, tensors, layer, states, out=states, normed=normed,
            activation_bits=bits, threads=self.threads,
        ):  # fmt: skip
            pass

    def output_entering(self, states: Floats, *, is_table: bool = False) -> Entering:
        """What enters the output matrix: hidden states behind the last layer, normed.

        Args:
            states: these.
            is_table: whether the matrix is that of embeddings, too, whose rows are read as they
                are: their own errors then count beside those of the output.
        """
        dim = self.hparams.dim
        collected = _Collected("the output matrix", dim, self, crossed=False)
        collected.add(states.reshape(-1, dim), None)
        found = collected.entering(0.0)
        if not is_table:
            return found
        hessian = found.hessian.copy()
        hessian[np.diag_indices_from(hessian)] += _TABLE_DAMPING * np.diagonal(hessian).mean()
        return replace(found, hessian=hessian)

    def input_name(self, name: str) -> str:
        """The name by which `entering_layer` gives what enters a matrix: of a fused one, a part."""
        parts = fused_rows(name, self.tensors, self.hparams)
        return name if parts is None else next(iter(parts))


def float_end(text: Text, done: Callable[[int], None]) -> Floats:
    """The hidden states behind the last layer of the model as it is, normed.

    ``done`` is called with the number of each layer that is done.
    """
    states = text.beginning(text.tensors[EMBEDDINGS])
    for layer in range(text.hparams.layers):
        text.advanced(layer, states, text.tensors, bits=16)
        done(layer)
    return states


@contextmanager
def entering_layer(
    text: Text, layer: int, states: Floats, exact: Floats | None, share: float
) -> Iterator[dict[str, Entering]]:
    """What enters the matrices of a layer, by their names.

    Args:
        text: the model, whose own weights the layer has.
        layer: its number.
        states: before the layer, as the rounded layers before it give them.
        exact: the same of the float model; they are then those behind the layer. None if no
            correction is wanted.
        share: of that difference, how much matrices are to make good for.
    """
    observed = run_layer(
        text.hparams, text.tensors, layer, states, observes=True, activation_bits=16,
        threads=text.threads,
    )  # fmt: skip
    collected: dict[tuple[str, ...], _Collected] = {}
    for inputs, exact_inputs in zip(observed, _exact_inputs(text, layer, exact), strict=False):
        for names in list(inputs):
            x = inputs.pop(names)
            if names not in collected:
                collected[names] = _Collected(names[0], x.shape[1], text, crossed=exact is not None)
            collected[names].add(x, exact_inputs.pop(names, None))
    found: dict[str, Entering] = {}
    for names, each in collected.items():
        found |= dict.fromkeys(names, each.entering(share))
    yield found
    for each in collected.values():
        each.free()


def _exact_inputs(text: Text, layer: int, exact: Floats | None) -> Iterator[Inputs]:
    if exact is None:
        while True:
            yield {}
    normed = layer == text.hparams.layers - 1
    yield from run_layer(
        text.hparams, text.tensors, layer, exact, out=exact, observes=True, normed=normed,
        activation_bits=16, threads=text.threads,
    )  # fmt: skip


class _Collected:
    """What enters some matrices, step by step."""

    def __init__(self, name: str, columns: int, text: Text, *, crossed: bool) -> None:
        self._name = name
        used, held = text.samples.used.size, text.samples.held_out.size
        self._used = used
        self._stride = -(-held // _MOST_HELD_OUT)
        self._hessian = Hessian(columns, text.arrays)
        self._cross = CrossSum(columns, text.arrays) if crossed else None
        self._held: list[Floats] = []
        self._held_exact: list[Floats] = []
        self._seen = 0

    def add(self, x: Floats, exact: Floats | None) -> None:
        """The next tokens; the last of all are those held out."""
        used = min(max(self._used - self._seen, 0), len(x))
        self._seen += len(x)
        self._hessian.add(x[:used])
        self._held.append(x[used :: self._stride].copy())
        if exact is not None and self._cross is not None:
            self._cross.add(exact[:used], x[:used])
            self._held_exact.append(exact[used :: self._stride].copy())

    def entering(self, share: float) -> Entering:
        """All of it.

        Raises:
            ModelError: it is not finite.
        """
        hessian = self._hessian.mean()
        if not np.isfinite(np.diagonal(hessian)).all():
            raise ModelError(
                f"what enters {self._name} is not finite: the model can't be calibrated "
                "(`ggmlkit verify` shows weights that are not finite)"
            )
        held = np.concatenate(self._held)
        if self._cross is None:
            return Entering(hessian, held)
        correction = _correction(hessian, self._cross.mean(), share)
        return Entering(hessian, held, np.concatenate(self._held_exact), correction)

    def free(self) -> None:
        """Give the memory back."""
        self._hessian.free()
        if self._cross is not None:
            self._cross.free()


def _correction(hessian: NDArray[np.float64], cross: NDArray[np.float64], share: float) -> Floats:
    """What weights W must gain, W·correction, for W·x to be nearest to the float model's output.

    It is C·H⁻¹, with H = Σ x·xᵀ and C = Σ (f - x)·xᵀ.
    """
    damped = hessian.copy()
    damped[np.diag_indices_from(damped)] += _DAMPING * float(np.diagonal(hessian).mean()) or 1.0
    found: Floats = (share * np.linalg.solve(damped, cross.T).T).astype(np.float32)
    return found
