"""A Keras-like file of a LLaMA, with the names that Flax uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

import ggmlkit as gk
from flax_trees import flax_tree
from folder_checks import check
from ggmlkit.errors import ConversionError

MakeHf = Callable[..., tuple[Path, Any]]


def test_variables_by_module(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    with h5py.File(folder / "tf_model.h5", "w") as file:
        for path, array in flax_tree(model).items():
            file[f"tf_llama/{path}:0"] = array
    gk.convert(folder / "tf_model.h5", tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_other_names_are_refused(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, _ = tiny_hf()
    with h5py.File(folder / "model.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = [1.0, 2.0]
    with pytest.raises(ConversionError, match="neither Hugging Face's nor Meta's names"):
        gk.convert(folder / "model.weights.h5", tmp_path / "m.gguf")
