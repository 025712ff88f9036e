"""Commands that apply and make adapters and deltas."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import checkpoints
from command import ggmlkit
from ggmlkit import io
from ggmlkit.cli.app import run
from ggmlkit.conversion.open_source import open_source
from paths import GOLDEN

GGLA = GOLDEN / "lora-ggla.bin"
BASE = GOLDEN / "gguf-v1-f16.bin"
SETTINGS = ["-p", "Hello", "-n", "8", "--ignore-eos", "--temp", "0", "-t", "1"]


def test_run_with_adapters(tmp_path: Path) -> None:
    ggmlkit("apply-lora", BASE, f"{GGLA}:2", f"{GGLA}:-0.5", tmp_path / "m.gguf", "--type", "f32")
    merged = ggmlkit("run", "-m", tmp_path / "m.gguf", *SETTINGS).stdout
    both = ["--lora", f"{GGLA}:2", "--lora", f"{GGLA}:-0.5"]
    assert ggmlkit("run", "-m", BASE, *SETTINGS, *both).stdout == merged
    assert ggmlkit("run", "-m", BASE, *SETTINGS).stdout != merged


def test_chat_takes_adapters_too(chat_gguf: Path) -> None:
    done = ggmlkit("chat", "-m", chat_gguf, "--lora", GGLA, "-t", "1", text="/quit\n")
    assert "prompt: 0 tokens" in done.stderr


def test_adapters_are_converted(tmp_path: Path) -> None:
    ggmlkit("convert", GGLA, tmp_path / "a.gguf", "--base", BASE)
    ggmlkit("convert", tmp_path / "a.gguf", tmp_path / "b.ggla")
    assert (tmp_path / "b.ggla").read_bytes() == GGLA.read_bytes()
    ggmlkit("convert", GOLDEN / "lora-peft", tmp_path / "c.gguf", "--base", BASE, "--type", "f16")
    with io.open(tmp_path / "c.gguf") as file:
        assert {tensor.type.name for tensor in file.values()} == {"f16"}


def test_a_delta_there_and_back(tmp_path: Path) -> None:
    for name in ("base", "target"):
        (tmp_path / name).mkdir()
        checkpoints.hf_folder(tmp_path / name)
    ggmlkit("make-delta", tmp_path / "base", tmp_path / "target", tmp_path / "delta")
    with io.open(tmp_path / "delta" / "model.safetensors") as file:
        assert not any(tensor.dequantize().any() for tensor in file.values())
    ggmlkit("apply-delta", tmp_path / "base", tmp_path / "delta", tmp_path / "again")
    ggmlkit("apply-delta", tmp_path / "base", tmp_path / "delta", tmp_path / "m.gguf")
    ggmlkit("convert", tmp_path / "target", tmp_path / "direct.gguf")
    one, other = open_source(tmp_path / "again"), open_source(tmp_path / "direct.gguf")
    for name, tensor in one.tensors.items():
        assert np.array_equal(tensor.dequantize(), other.tensors[name].dequantize())
    assert (tmp_path / "m.gguf").stat().st_size == (tmp_path / "direct.gguf").stat().st_size


def test_a_scale_that_is_none_is_the_command_lines_fault(tmp_path: Path) -> None:
    assert run(["apply-lora", str(BASE), f"{GGLA}:nan", str(tmp_path / "m.gguf")]) == 2
    assert run(["run", "-m", str(BASE), "--lora", f"{GGLA}:inf", "-p", "x"]) == 2
