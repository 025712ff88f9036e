"""A checkpoint's output matrix, where its config.json says that the embeddings are that too."""

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
    """Hyper-parameters and gguf-named tensors that say what transformers takes for the head.

    Where config.json ties the two, one of them may be saved, under either name, or both. Two that
    differ are no longer tied: both are used.

    Raises ConversionError for two that differ in an architecture whose files hold one.
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
    for (_, part), (_, beside) in zip(row_runs(one), row_runs(other), strict=True):
        if part.data.ctypes.data == beside.data.ctypes.data and part.type == beside.type:
            return True  # one storage under two names, as PyTorch saves what is tied
        if part.type == beside.type:
            equal = np.array_equal(part.data, beside.data)
        else:
            equal = np.array_equal(part.dequantize(), beside.dequantize())
        for each in (part, beside):
            release(each.data)
        if not equal:
            return False
    return True
