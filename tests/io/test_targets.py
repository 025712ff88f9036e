"""No function of the package writes a file over what it is made from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ggmlkit as gk
from ggmlkit.conversion.lora.convert import convert_adapter
from paths import GOLDEN

# The model, some other path, and the path to write: each has the model among what it reads.
WRITERS: dict[str, Callable[[Path, Path, Path], object]] = {
    "quantize_file": lambda model, _, out: gk.quantize_file(model, out, "q4_0"),
    "convert": lambda model, _, out: gk.convert(model, out),
    "convert vocab": lambda model, other, out: gk.convert(other, out, vocab=model),
    "convert base": lambda model, other, out: gk.convert(other, out, base=model),
    "convert_adapter": lambda model, _, out: convert_adapter(model, out),
    "export": lambda model, _, out: gk.export(model, out, "npz"),
    "export vocab": lambda model, other, out: gk.export(other, out, "npz", vocab=model),
    "repair": lambda model, _, out: gk.repair(model, out),
    "merge": lambda model, _, out: gk.merge(model, out),
    "apply_lora": lambda model, other, out: gk.apply_lora(model, other, out),
    "apply_lora adapter": lambda model, other, out: gk.apply_lora(other, [(model, 0.5)], out),
    "apply_delta": lambda model, other, out: gk.apply_delta(model, other, out),
    "apply_delta delta": lambda model, other, out: gk.apply_delta(other, model, out),
    "make_delta": lambda model, other, out: gk.make_delta(model, other, out),
    "make_delta target": lambda model, other, out: gk.make_delta(other, model, out),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shutil.copy(GOLDEN / "gguf-v1-f16.bin", tmp_path / "m.gguf")
    shutil.copy(GOLDEN / "lora-ggla.bin", tmp_path / "other.bin")
    (tmp_path / "link.gguf").symlink_to("m.gguf")
    os.link(tmp_path / "m.gguf", tmp_path / "hard.gguf")
    return tmp_path / "m.gguf"


@pytest.mark.parametrize("out", ["m.gguf", "link.gguf", "hard.gguf"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_source_is_not_written_over(model: Path, writer: str, out: str) -> None:
    before = model.read_bytes()
    with pytest.raises(gk.ArgumentError, match=r"written over .*m\.gguf, which is read"):
        WRITERS[writer](model, model.with_name("other.bin"), model.with_name(out))
    assert model.read_bytes() == before


def test_a_part_is_not_written_over(model: Path) -> None:
    parts = gk.split(model, model.with_name("p"), max_tensors=8)
    before = [part.read_bytes() for part in parts]
    with pytest.raises(gk.ArgumentError, match="would be written over"):
        gk.split(parts[0], model.with_name("p"), max_tensors=8)
    with pytest.raises(gk.ArgumentError, match="would be written over"):
        gk.merge(parts[0], parts[1])
    assert [part.read_bytes() for part in parts] == before


def test_a_checkpoint_is_not_exported_into_its_own_folder(model: Path) -> None:
    folder = model.with_name("hf")
    gk.export(model, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for source, vocab in ((folder / "model.safetensors", None), (model, folder / "tokenizer.json")):
        with pytest.raises(gk.ArgumentError, match="would be written over"):
            gk.export(source, folder, vocab=vocab)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    gk.export(model, folder)  # a checkpoint that is not read may be replaced
