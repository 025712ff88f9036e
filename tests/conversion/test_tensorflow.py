"""A TensorFlow checkpoint of a LLaMA, with the names that Flax uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
import other_checkpoints
from flax_trees import flax_tree
from folder_checks import check
from ggmlkit.errors import ConversionError
from paths import DATA

MakeHf = Callable[..., tuple[Path, Any]]
DATA = DATA / "tensorflow"


def test_variables_by_module(tiny_hf: MakeHf, tmp_path: Path) -> None:
    folder, model = tiny_hf()
    (folder / "model.safetensors").unlink()
    arrays = flax_tree(model).items()
    other_checkpoints.tensorflow(
        folder, {f"net/{path}/.ATTRIBUTES/VARIABLE_VALUE": array for path, array in arrays}
    )
    gk.convert(folder / "m.index", tmp_path / "m.gguf", type="f32")
    check(tmp_path / "m.gguf", model)


def test_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="neither Hugging Face's nor Meta's names"):
        gk.convert(DATA / "checkpoint.index", tmp_path / "m.gguf")
