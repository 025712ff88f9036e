"""How far a model's predictions move when one of its tensors is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.engine.layers import embedded, run_layer
from ggmlkit.io.pages import release
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.arch.hparams import Hparams
    from ggmlkit.calibration.spilling import Spilling

    Floats = NDArray[np.float32]

# Every so many positions are compared: neighbours say much the same.
_STRIDE = 2
# Rows of the output matrix that are unpacked at a time.
_OUTPUT_ROWS = 1 << 14
# Positions whose predictions are in memory at a time.
_POSITIONS = 64


class Probe:
    """Runs short samples through a model from where a tensor is changed.

    Args:
        hparams: of the model.
        tensors: of the model as it is, by gguf name.
        ids: the samples, int32 ``(samples, tokens)``.
        arrays: where states are kept.
        threads: at most so many; all that the process may use when None.
    """

    def __init__(
        self,
        hparams: Hparams,
        tensors: Mapping[str, Tensor],
        ids: NDArray[np.int32],
        arrays: Spilling,
        threads: int | None,
    ) -> None:
        self._hparams = hparams
        self._tensors = tensors
        self._ids = ids
        self._threads = threads
        # The hidden states before each layer, and behind the last.
        shape = (hparams.layers + 1, *ids.shape, hparams.dim)
        self._states: Floats = arrays.zeros(shape, np.float32)
        self._states[0] = embedded(hparams, tensors[EMBEDDINGS], ids)
        for layer in range(hparams.layers):
            self._run(layer, self._states[layer], self._states[layer + 1], tensors)
        self._expected = self._logits(self._states[-1], self._output())

    def of_layer(self, layer: int, changed: Mapping[str, Tensor]) -> dict[str, float]:
        """The divergence that each of a layer's tensors causes, in nats a token, by its name.

        Args:
            layer: its number.
            changed: by name: tensors that stand for the model's, one at a time.
        """
        if not changed:
            return {}
        states = np.empty((len(changed), *self._states[0].shape), np.float32)
        for place, (name, tensor) in enumerate(changed.items()):
            mixed = {**self._tensors, name: tensor}
            self._run(layer, self._states[layer], states[place], mixed)
        ends = self._ended(layer + 1, states)
        output = self._output()
        return {n: self._divergence(end, output) for n, end in zip(changed, ends, strict=True)}

    def of_embeddings(self, changed: Tensor) -> float:
        """The divergence that other embeddings cause, where they are read."""
        states = embedded(self._hparams, changed, self._ids)[np.newaxis]
        return self._divergence(self._ended(0, states)[0], self._output())

    def of_output(self, changed: Tensor) -> float:
        """The divergence that another output matrix causes."""
        return self._divergence(self._states[-1], changed)

    def _output(self) -> Tensor:
        return self._tensors.get(OUTPUT, self._tensors[EMBEDDINGS])

    def _ended(self, layer: int, states: Floats) -> Floats:
        """Hidden states behind the last layer, of those before a layer; all at a time."""
        samples = states.reshape(-1, *states.shape[2:])
        for each in range(layer, self._hparams.layers):
            self._run(each, samples, samples, self._tensors)
        return states

    def _run(self, layer: int, states: Floats, out: Floats, tensors: Mapping[str, Tensor]) -> None:
        normed = layer == self._hparams.layers - 1
        for _ in run_layer(
            self._hparams, tensors, layer, states, out=out, normed=normed, activation_bits=16,
            threads=self._threads,
        ):  # fmt: skip
            pass

    def _divergence(self, states: Floats, output: Tensor) -> float:
        """Mean KL divergence of what these states predict from what the model does."""
        found = self._logits(states, output)
        total = 0.0
        for begin in range(0, len(found), _POSITIONS):
            p = _log_softmax(self._expected[begin : begin + _POSITIONS])
            q = _log_softmax(found[begin : begin + _POSITIONS])
            total += float(np.einsum("ij,ij->", np.exp(p), p - q))
        return max(0.0, total / len(found))

    def _logits(self, states: Floats, output: Tensor) -> Floats:
        """Logits at some positions of all samples: ``(positions, vocabulary)``."""
        x = states[:, ::_STRIDE].reshape(-1, self._hparams.dim)
        found = np.empty((len(x), output.rows), np.float32)
        data, row_bytes = output.data, output.type.row_bytes(self._hparams.dim)
        for row in range(0, output.rows, _OUTPUT_ROWS):
            blocks = data[row * row_bytes : (row + _OUTPUT_ROWS) * row_bytes]
            part = Tensor(output.type, (len(blocks) // row_bytes, x.shape[1]), blocks, output.name)
            found[:, row : row + part.rows] = x @ part.dequantize(threads=self._threads).T
            release(blocks)
        output.check()
        cap = np.float32(self._hparams.final_softcap)
        return np.tanh(found / cap) * cap if cap else found


def _log_softmax(logits: Floats) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(axis=1, keepdims=True))
    return wide
