"""Runs one layer of a model at a time, on hidden states: only its weights are in memory.

The layer is a model of its own, whose embeddings are the hidden states before it and whose results
are those behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit import _core
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT_NORM
from ggmlkit.engine import loading
from ggmlkit.engine.config import layer_config, model_config
from ggmlkit.engine.fused_tensors import unfused
from ggmlkit.engine.kv_types import KvTypes
from ggmlkit.engine.observer import matrices_of
from ggmlkit.errors import ModelError
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# What entered matrices of these names in a step: (tokens, columns).
Inputs = dict[tuple[str, ...], "NDArray[np.float32]"]

# Tokens of a step: enough for products of what entered the matrices to run at full speed, and few
# enough that all of it is small beside a layer.
_STEP_TOKENS = 2048
_CACHE = KvTypes.named("f16")


def embedded(hparams: Hparams, embeddings: Tensor, ids: NDArray[np.integer]) -> Floats:
    """Hidden states before the first layer.

    Args:
        hparams: of the model.
        embeddings: its embedding matrix.
        ids: of tokens, of any shape.

    Returns:
        float32, of the shape of ``ids`` and ``dim``.
    """
    row_bytes = embeddings.type.row_bytes(hparams.dim)
    rows = embeddings.data.reshape(-1, row_bytes)[ids.reshape(-1)]
    own = Tensor(embeddings.type, (ids.size, hparams.dim), rows.reshape(-1), EMBEDDINGS)
    found = own.dequantize()
    embeddings.check()
    found *= np.float32(model_config(hparams).embedding_scale)
    return found.reshape(*ids.shape, hparams.dim)


def run_layer(
    hparams: Hparams,
    tensors: Mapping[str, Tensor],
    layer: int,
    states: Floats,
    *,
    out: Floats | None = None,
    observes: bool = False,
    normed: bool = False,
    activation_bits: int = 8,
    threads: int | None = None,
) -> Iterator[Inputs]:
    """Run a layer on samples of text, some samples a step.

    Args:
        hparams: of the whole model.
        tensors: by gguf name: the layer's, beside any others.
        layer: its number.
        states: hidden states before it, contiguous float32 ``(samples, tokens, dim)``. Each sample
            is a sequence of its own.
        out: for those behind it, of the same shape; it may be ``states``. None if they are not
            wanted.
        observes: whether to give what enters the matrices.
        normed: whether the model's output norm follows.
        activation_bits: as of a :class:`ggmlkit.Model`.
        threads: at most so many; all that the process may use when None.

    Yields:
        after each step what entered the layer's matrices, by their names; nothing unless it
        ``observes``.

    Raises:
        ModelError: tensors do not fit the model, or memory does not suffice.
    """
    samples, tokens, dim = states.shape
    weights = _weights(hparams, tensors, layer, states, normed, threads or 0)
    at_once = max(1, min(samples, _STEP_TOKENS // tokens))
    pages = -(-tokens // _core.KV_PAGE) * _core.KV_PAGE
    engine = loading.new_engine(
        weights, tokens, at_once * pages, _CACHE, activation_bits, False, False
    )
    results = None if out is None else out.reshape(-1, dim)
    for first in range(0, samples, at_once):
        count = min(at_once, samples - first)
        ids = np.arange(first * tokens, (first + count) * tokens, dtype=np.int32)
        observer = _Observer(layer)
        sequences = [engine.sequence(None, ids[:0]) for _ in range(count)]
        wanted = _core.LogitsOf.NONE if results is None else _core.LogitsOf.ALL
        # A pass has taken the rows of its tokens before it writes there.
        hidden = None if results is None else results[ids[0] : ids[-1] + 1]
        engine.step(
            sequences, ids, [tokens] * count, [wanted] * count, None, hidden,
            observer if observes else None,
        )  # fmt: skip
        yield observer.inputs()


def _weights(
    hparams: Hparams,
    tensors: Mapping[str, Tensor],
    layer: int,
    states: Floats,
    normed: bool,
    threads: int,
) -> _core.ModelWeights:
    samples, tokens, dim = states.shape
    prefix, own_prefix = f"blk.{layer}.", "blk.0."
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    def named() -> Iterator[tuple[str, Tensor]]:
        data = np.asarray(states).reshape(-1).view(np.uint8)
        yield EMBEDDINGS, Tensor("f32", (samples * tokens, dim), data, EMBEDDINGS)
        for name, tensor in unfused(own, hparams):
            yield own_prefix + name.removeprefix(prefix), tensor
        if normed:
            yield OUTPUT_NORM, tensors[OUTPUT_NORM]

    config = layer_config(hparams, layer, samples * tokens)
    try:
        return loading.loaded(config, named(), threads, True)
    except ModelError as error:
        raise ModelError(str(error).replace(own_prefix, prefix)) from None


class _Observer:
    """Collects what enters the matrices in a step."""

    def __init__(self, layer: int) -> None:
        self._layer = layer
        self._seen: dict[tuple[str, ...], list[Floats]] = {}

    def __call__(self, _: int, input: _core.Input, x: Floats) -> None:
        names = matrices_of(self._layer, input)
        if names:
            self._seen.setdefault(names, []).append(x)

    def inputs(self) -> Inputs:
        found: Inputs = {}
        for names in list(self._seen):
            parts = self._seen.pop(names)  # one at a time is in memory twice
            found[names] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return found
