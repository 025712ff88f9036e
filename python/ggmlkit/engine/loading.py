"""Loads a model file's weights into the compiled decoder; errors name the file."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ggmlkit import _core
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import ROPE_TENSORS
from ggmlkit.engine.config import model_config
from ggmlkit.engine.fused_tensors import unfused
from ggmlkit.engine.kv_types import KvTypes
from ggmlkit.errors import ArgumentError, ConversionError, ModelError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.gguf_view import as_gguf
from ggmlkit.io.pages import release
from ggmlkit.io.unknown_tensor import UnknownTensor, refuse_unknown
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Bytes of the file that are packed at a time: enough that threads seldom wait at a barrier, but few
# compared to a model, as they and the packed weights are in memory together.
_PACKED_AT_ONCE = 32 << 20
# The rows of the output matrix for a classifier's labels.
_LABEL_ROWS = "cls.output.weight"


@contextmanager
def naming(file: ModelFile) -> Iterator[None]:
    """Adds the file's path to errors about the model."""
    try:
        yield
    except ModelError as error:
        if str(error).startswith(str(file.path)):  # an adapter of the same name
            raise
        raise ModelError(f"{file.path}: {error}") from error


def gguf_view(file: ModelFile) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors under gguf's names, whatever the container.

    A reranker that says yes or no comes without the copy that it has of two output rows.
    """
    try:
        metadata, tensors = as_gguf(file)
    except ConversionError as error:
        raise ModelError(str(error)) from error
    labels = metadata.get(f"{metadata.get('general.architecture')}.classifier.output_labels")
    if isinstance(labels, (list, tuple)) and list(labels) == ["yes", "no"]:
        tensors.pop(_LABEL_ROWS, None)
    return metadata, tensors


def warn_of_unpacked(file: ModelFile, tensors: Mapping[str, Tensor]) -> None:
    """Warn about matrices of types that no kernel can multiply directly."""
    known = [t for t in tensors.values() if not isinstance(t, UnknownTensor)]
    matrices = (t.type for t in known if len(t.shape) == 2)
    kinds = sorted({kind.name for kind in matrices if not kind.has_product})
    if kinds:
        warnings.warn(
            f"{file.path}: matrices of type {', '.join(kinds)} are unpacked to float16, "
            "which needs more memory",
            stacklevel=3,
        )


def load(
    hparams: Hparams, tensors: Mapping[str, Tensor], threads: int, repack: bool
) -> _core.ModelWeights:
    """All weights, packed."""
    refuse_unknown(tensors.values())
    return loaded(model_config(hparams), unfused(tensors, hparams), threads, repack)


def loaded(
    config: _core.ModelConfig, tensors: Iterable[tuple[str, Tensor]], threads: int, repack: bool
) -> _core.ModelWeights:
    """The weights of these names, packed."""
    try:
        weights = _core.ModelWeights(config, threads, repack)
        waiting: list[tuple[Tensor, NDArray[np.uint8]]] = []
        for name, tensor in tensors:
            if name in ROPE_TENSORS:
                continue  # part of the hyper-parameters
            if len(tensor.shape) == 1:
                weights.set_vector(name, tensor.dequantize())
            elif len(tensor.shape) == 2:
                rows, cols = tensor.shape
                data = tensor.data
                if weights.set_matrix(name, tensor.type.index, rows, cols, data):
                    waiting.append((tensor, data))
                else:
                    tensor.check()
                del data  # frees the data of computed tensors
                if sum(t.nbytes for t, _ in waiting) >= _PACKED_AT_ONCE:
                    _pack(weights, waiting)
            else:
                raise ModelError(f"tensor {name} of shape {tensor.shape} is not a matrix")
        _pack(weights, waiting)
        weights.finish()
    except ValueError as error:
        raise ModelError(str(error)) from error
    except MemoryError as error:
        raise ModelError("the weights do not fit into memory") from error
    return weights


def _pack(weights: _core.ModelWeights, waiting: list[tuple[Tensor, NDArray[np.uint8]]]) -> None:
    weights.pack()
    for tensor, data in waiting:
        release(data)
        tensor.check()
    waiting.clear()


def tokens_in(weights: _core.ModelWeights, cache_bytes: int, kv_types: KvTypes) -> int:
    """Tokens that a cache of so many bytes has room for, in whole pages.

    Raises:
        ArgumentError: it has no room for a page.
    """
    page = _core.kv_page_bytes(weights, kv_types.keys, kv_types.values)
    if cache_bytes < page:
        raise ArgumentError(f"cache_bytes must be at least {page}, a page of this model")
    return cache_bytes // page * _core.KV_PAGE


def new_engine(
    weights: _core.ModelWeights,
    context: int,
    positions: int,
    kv_types: KvTypes,
    activation_bits: int,
    prefix_cache: bool,
    batch_invariant: bool,
) -> _core.Engine:
    """Room for sequences of ``context`` tokens, ``positions`` tokens together."""
    try:
        return _core.Engine(
            weights, context, positions, kv_types.keys, kv_types.values, activation_bits,
            prefix_cache, batch_invariant,
        )  # fmt: skip
    except ValueError as error:
        raise ModelError(str(error)) from error
    except MemoryError as error:
        raise ModelError(
            f"a context of {context} tokens does not fit into memory; ask for a smaller one"
        ) from error
