"""Measures how sensitive each matrix of a model is to rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.calibration.layers import entering_layer
from ggmlkit.calibration.probing import Probe
from ggmlkit.calibration.progress import Meter
from ggmlkit.calibration.sensitivity import (
    Errors,
    Sensitivity,
    Use,
    candidates,
    probe_type,
    rounding_errors,
    rows_of,
    some_rows,
)
from ggmlkit.quantizing import quantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.calibration.layers import Text
    from ggmlkit.calibration.matrices import Entering
    from ggmlkit.calibration.methods import Method
    from ggmlkit.io.writing.stream import Progress
    from ggmlkit.tensor import Tensor

    Floats = NDArray[np.float32]

# Tokens of the text that changed models are run on.
_PROBE_TOKENS = 256
# Layers whose tensors are changed, at most; slopes of those between are between theirs.
_PROBED_LAYERS = 6
# Rows of a table of embeddings that are rounded to every type: of tokens that the text has.
_TABLE_ROWS = 256
# What the errors of a layer take beside running a layer on changed states.
_ERRORS_WORK = 10


class Survey:
    """Finds the sensitivities of a model's matrices.

    Args:
        text: the model, and what it reads.
        names: of the matrices.
        method: of the rounding.
        progress: called with (work done, in all, what is done next).
    """

    def __init__(
        self,
        text: Text,
        names: Sequence[str],
        method: Method,
        progress: Progress | None,
    ) -> None:
        self._text = text
        self._names = names
        self._method = method
        layers = text.hparams.layers
        places = np.linspace(0, layers - 1, min(layers, _PROBED_LAYERS))
        self._probed = sorted({int(place) for place in places})
        # A layer's errors take about as long as running ten layers for its probes.
        runs = sum(layers - layer for layer in self._probed)
        self._meter = Meter(progress, layers * _ERRORS_WORK + runs)

    def sensitivities(self) -> dict[str, Sensitivity]:
        """Of all matrices, by name.

        Raises:
            ModelError: what enters a matrix is not finite.
        """
        text = self._text
        found: dict[str, Sensitivity] = {}
        probe = Probe(text.hparams, text.tensors, self._probe_ids(), text.arrays, text.threads)
        states = text.beginning(text.tensors[EMBEDDINGS])
        errors: dict[str, Errors] = {}
        slopes: dict[str, float] = {}
        layers = text.hparams.layers
        for layer in range(layers):
            names = [name for name in self._names if name.startswith(f"blk.{layer}.")]
            self._meter.begin(f"blk.{layer}")
            errors |= self._errors_of_layer(layer, names, states) if names else {}
            text.advanced(layer, states, text.tensors, bits=16)
            self._meter.advance(_ERRORS_WORK, f"blk.{layer}")
            if layer in self._probed:
                changed = {name: self._changed(name) for name in names}
                for name, kl in probe.of_layer(layer, changed).items():
                    slopes[name] = kl / _above_zero(errors[name].reference[self._probe(name)])
                self._meter.advance(layers - layer, f"blk.{layer}")
        for name in errors:
            slope = slopes.get(name) or self._between(name, slopes)
            found[name] = self._sensitivity(name, [Use(slope, errors[name].found)])
        for name in (EMBEDDINGS, OUTPUT):
            if name in self._names:
                found[name] = self._of_end(name, states, probe)
        self._meter.end()
        text.arrays.free(states)
        return {name: found[name] for name in self._names}

    def _between(self, name: str, slopes: Mapping[str, float]) -> float:
        """The slope of a matrix whose layer is not probed: on a line through its neighbours'."""
        _, number, part = name.split(".", 2)
        known = {layer: slopes.get(f"blk.{layer}.{part}", 0.0) for layer in self._probed}
        places = [layer for layer, slope in known.items() if slope > 0]
        if not places:
            return 0.0
        logs = [np.log(known[layer]) for layer in places]
        return float(np.exp(np.interp(int(number), places, logs)))

    def _errors_of_layer(self, layer: int, names: list[str], states: Floats) -> dict[str, Errors]:
        with entering_layer(self._text, layer, states, None, 0.0) as entering:
            return {
                name: self._errors(name, entering[self._text.input_name(name)]) for name in names
            }

    def _errors(self, name: str, entering: Entering, *, of_rows: bool = False) -> Errors:
        """Errors of some rows; of_rows: of those that the text has, as the matrix is a table."""
        tensor = self._text.tensors[name]
        rows = self._rows_read() if of_rows else some_rows(tensor)
        is_rounded = not (name == EMBEDDINGS and OUTPUT in self._text.tensors)
        return rounding_errors(
            rows_of(tensor, rows), candidates(tensor.shape[-1]), entering,
            self._method if is_rounded else None, self._text.threads,
        )  # fmt: skip

    def _of_end(self, name: str, states: Floats, probe: Probe) -> Sensitivity:
        """The output matrix, or the embeddings, which are perhaps the output, too."""
        entering = self._text.output_entering(states, is_table=name == EMBEDDINGS)
        changed, kind = self._changed(name), self._probe(name)
        errors = self._errors(name, entering, of_rows=True)
        uses = []
        if name == EMBEDDINGS:
            slope = probe.of_embeddings(changed) / _above_zero(errors.reference_values[kind])
            uses.append(Use(slope, errors.values))
        if name == OUTPUT or OUTPUT not in self._text.tensors:
            uses.append(_use(probe.of_output(changed), errors, kind))
        return self._sensitivity(name, uses)

    def _sensitivity(self, name: str, uses: list[Use]) -> Sensitivity:
        return Sensitivity(self._text.tensors[name].shape, uses)

    def _probe(self, name: str) -> str:
        return probe_type(candidates(self._text.tensors[name].shape[-1])).name

    def _changed(self, name: str) -> Tensor:
        """The tensor as the reference rounds it, in memory."""
        tensor = self._text.tensors[name]
        return quantize(tensor, self._probe(name), name=name, threads=self._text.threads)

    def _probe_ids(self) -> NDArray[np.int32]:
        return self._text.samples.used[:1, :_PROBE_TOKENS]

    def _rows_read(self) -> NDArray[np.int64]:
        """Rows of tokens that the text has, each once."""
        read = np.unique(self._text.samples.all)
        places = np.linspace(0, len(read) - 1, _TABLE_ROWS).astype(np.int64)
        return np.unique(read[places]).astype(np.int64)


def _use(kl: float, errors: Errors, kind: str) -> Use:
    return Use(kl / _above_zero(errors.reference[kind]), errors.found)


def _above_zero(error: float) -> float:
    """An error to divide by: where nothing is lost, nothing is what it costs."""
    return error or float("inf")
