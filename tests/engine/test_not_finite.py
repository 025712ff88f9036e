"""A model whose weights are not finite: generation raises an error of one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk


def test_logits_that_are_nan(golden: Path, tmp_path: Path) -> None:
    with gk.open(golden / "gguf-v1-f16.bin") as file:
        name = "output_norm.weight"
        norm = np.full(file[name].shape, np.nan, np.float32)
        tensors = {**file.tensors, name: gk.Tensor("f32", norm.shape, norm.view(np.uint8), name)}
        gk.save(tmp_path / "nan.gguf", tensors, file.metadata)
    llama = gk.Llama(tmp_path / "nan.gguf", threads=1)
    with pytest.raises(gk.ModelError, match=r"all logits of the model are NaN \(`ggmlkit verify`"):
        next(llama.generate("a", max_tokens=2))
