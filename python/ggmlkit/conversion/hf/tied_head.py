"""A checkpoint's output matrix, if config.json ties it to the embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.errors import ConversionError
from ggmlkit.io.pages import release
from ggmlkit.quantization.file import row_runs
from ggmlkit.tensor import Tensor


def with_head_as_saved(
    path: Path, hparams: Hparams, tensors: Mapping[str, Tensor]
) -> tuple[Hparams, dict[str, Tensor]]:
    """The hyper-parameters and gguf-named tensors, with the head that transformers uses.

    If config.json ties the two matrices, the checkpoint can have one, under either name, or both.
    If it has two that differ, they are no longer tied and both are used.

    Raises ConversionError if two differ in an architecture whose files hold only one.
    """
    found = dict(tensors)
    if not hparams.tied or OUTPUT not in found:
        return hparams, found
    if EMBEDDINGS not in found:
        found[EMBEDDINGS] = found.pop(OUTPUT).renamed(EMBEDDINGS)
        return hparams, found
    if _are_equal(found[EMBEDDINGS], found[OUTPUT]):
        del found[OUTPUT]
        return hparams, found
    if hparams.switches.is_tied:
        raise ConversionError(
            f"{path}: lm_head.weight differs from the embeddings, and files of the architecture "
            f"{hparams.architecture!r} have one matrix for both"
        )
    return replace(hparams, tied=False), found


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Whether two matrices have the same values; they are read up to the first difference."""
    if one.shape != other.shape:
        return False
    for (_, part), (_, other_part) in zip(row_runs(one), row_runs(other), strict=True):
        if part.data.ctypes.data == other_part.data.ctypes.data and part.type == other_part.type:
            return True  # PyTorch saves tied weights as one storage under two names
        if part.type == other_part.type:
            equal = np.array_equal(part.data, other_part.data)
        else:
            equal = np.array_equal(part.dequantize(), other_part.dequantize())
        for each in (part, other_part):
            release(each.data)
        if not equal:
            return False
    return True
