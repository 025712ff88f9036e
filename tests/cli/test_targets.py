"""A file is not written over what it is made from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from command import ggmlkit
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


def folder_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(F16, tmp_path / "m.gguf")
    shutil.copy(GOLDEN / "lora-ggla.bin", tmp_path / "adapter.bin")
    (tmp_path / "link.gguf").symlink_to("m.gguf")
    os.link(tmp_path / "m.gguf", tmp_path / "hard.gguf")
    return tmp_path


@pytest.mark.parametrize("out", ["m.gguf", "link.gguf", "hard.gguf", "../{folder}/m.gguf"])
@pytest.mark.parametrize(
    "command",
    [
        ["quantize", "m.gguf", "{out}", "q4_0"],
        ["convert", "m.gguf", "{out}"],
        ["convert", "m.gguf", "{out}", "--dry-run"],
        ["convert", "other.gguf", "{out}", "--vocab", "m.gguf"],
        ["convert", "adapter.bin", "{out}", "--base", "m.gguf"],
        ["quantize", "other.gguf", "{out}", "q4_0", "--imatrix", "m.gguf"],
        ["quantize", "other.gguf", "{out}", "q4_0", "--calibrate", "m.gguf"],
        ["imatrix", "--in-file", "m.gguf", "-o", "{out}"],
        ["imatrix", "-m", "m.gguf", "-f", "other.txt", "-o", "{out}"],
        ["repair", "m.gguf", "{out}"],
        ["merge", "m.gguf", "{out}"],
        ["export", "m.gguf", "{out}", "--format", "npz"],
        ["apply-lora", "m.gguf", "adapter.bin", "{out}"],
        ["apply-lora", "other.gguf", "m.gguf:0.5", "{out}"],
        ["apply-delta", "m.gguf", "other", "{out}"],
        ["make-delta", "other", "m.gguf", "{out}"],
    ],
    ids=" ".join,
)
def test_source_and_target_are_two(folder: Path, command: list[str], out: str) -> None:
    before = folder_of(folder)
    out = out.format(folder=folder.name)
    words = [word.format(out=out) for word in command]
    paths = [
        str(folder / word) if word in (out, *before) or word.startswith(("other", "m.")) else word
        for word in words
    ]
    said = ggmlkit(*paths, code=2).stderr
    assert "would be written over" in said
    assert folder_of(folder) == before


def test_parts_are_sources_too(folder: Path) -> None:
    parts = ggmlkit("split", folder / "m.gguf", folder / "p", "--max-tensors", "8").stdout.split()
    before = folder_of(folder)
    for command in (
        ("quantize", parts[0], parts[2], "q4_0"),
        ("merge", parts[1], parts[0]),
        ("split", parts[0], folder / "p", "--max-tensors", "9"),
    ):
        assert "would be written over" in ggmlkit(*command, code=2).stderr
    assert folder_of(folder) == before
    ggmlkit("split", parts[0], folder / "q", "--max-tensors", "9")
    (folder / "p").mkdir()
    inside = ggmlkit("split", parts[0], f"{folder}/p/", "--max-tensors", "9").stdout.split()
    assert {Path(part).parent for part in inside} == {folder / "p"}


def test_weights_of_a_folder_are_sources_too(folder: Path) -> None:
    checkpoint = folder / "hf"
    ggmlkit("export", folder / "m.gguf", checkpoint)
    (checkpoint / "pytorch_model.bin").touch()
    (folder / "link").symlink_to("hf/tokenizer.json")
    for source in (checkpoint, checkpoint / "model.safetensors"):
        for name in ("model.safetensors", "pytorch_model.bin", "config.json", "../link"):
            out = [checkpoint / name, "--container", "gguf"]
            assert "would be written over" in ggmlkit("convert", source, *out, code=2).stderr


def test_other_files_beside_the_source_may_be_replaced(folder: Path) -> None:
    checkpoint = folder / "hf"
    ggmlkit("export", folder / "m.gguf", checkpoint)
    for _ in range(2):
        ggmlkit("convert", checkpoint, checkpoint / "ggml-model-f16.bin")
        ggmlkit("convert", checkpoint / "model.safetensors", checkpoint / "m.gguf")
    for _ in range(2):
        ggmlkit("quantize", folder / "m.gguf", folder / "out.gguf", "q4_0")


@pytest.mark.parametrize("format", ["hf", "meta"])
def test_a_checkpoint_is_replaced_if_that_is_asked_for(folder: Path, format: str) -> None:
    export = ["export", folder / "m.gguf", folder / "out", "--format", format]
    (folder / "out").mkdir()
    ggmlkit(*export)
    before = folder_of(folder / "out")
    said = ggmlkit(*export, "--dtype", "bf16", code=2).stderr
    assert f"{folder / 'out'} has a checkpoint already: --overwrite replaces its files" in said
    assert folder_of(folder / "out") == before
    ggmlkit(*export, "--dtype", "bf16", "--overwrite")
    assert folder_of(folder / "out") != before
