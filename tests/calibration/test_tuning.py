"""Training of scales and norms after calibrated rounding."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import torch
from decoder_models import Memory, random_of
from ggmlkit import io
from ggmlkit.calibration import training
from ggmlkit.errors import ArgumentError, ArgumentTypeError
from paths import GOLDEN
from random_text import letters, text_file

F16 = GOLDEN / "gguf-v1-f16.bin"
FEW: dict[str, Any] = {"method": "search", "samples": 9, "tokens": 48}
quantize_file = partial(gk.quantize_file, pure=True, threads=1)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_file(tmp_path_factory.mktemp("text"), 6000)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.gguf"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model takes longer steps than a real one."""
    monkeypatch.setattr(training, "_RATE", 2e-3)


def divergence(made: Path, base: Path = F16) -> float:
    # Other letters, in another order.
    text = letters(1500, seed=7)
    settings = {"threads": 1, "activation_bits": 16}
    found = gk.evaluation.perplexity(made, text, context=48, base=base, settings=settings)
    assert found.base is not None
    return found.base.kl.value


def test_it_is_nearer_to_the_float_model_on_another_text(text: Path, out: Path) -> None:
    quantize_file(F16, out, "q4_0", calibrate=gk.Calibration(text, **FEW))
    before = divergence(out)
    with io.open(out) as file:
        types = {name: (tensor.type, tensor.shape) for name, tensor in file.items()}
        codes = file["blk.0.attn_q.weight"].data.reshape(-1, 18)[:, 2:].copy()
    size = out.stat().st_size
    notes = quantize_file(F16, out, "q4_0", calibrate=gk.Calibration(text, tune=24, **FEW))
    assert any(note.startswith("tuned: on ") for note in notes), notes
    assert divergence(out) < 0.9 * before
    with io.open(out) as file:
        assert {name: (tensor.type, tensor.shape) for name, tensor in file.items()} == types
        after = file["blk.0.attn_q.weight"].data.reshape(-1, 18)[:, 2:]
        np.testing.assert_array_equal(after, codes)
        assert file.metadata["quantize.calibration.tune_steps"] == 24
    assert abs(out.stat().st_size - size) <= 64  # one more key


def test_a_seed_gives_the_same_file(text: Path, out: Path) -> None:
    for path in (out, out.with_name("again.gguf")):
        quantize_file(F16, path, "q4_0", calibrate=gk.Calibration(text, tune=3, **FEW))
    assert out.read_bytes() == out.with_name("again.gguf").read_bytes()


def test_what_is_no_better_is_left_as_it_was(
    text: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_RATE", 10.0)  # ruins the model
    plain = out.with_name("plain.gguf")
    quantize_file(F16, plain, "q4_0", calibrate=gk.Calibration(text, **FEW))
    notes = quantize_file(F16, out, "q4_0", calibrate=gk.Calibration(text, tune=2, **FEW))
    assert any("tuning made it no better" in note for note in notes), notes
    assert out.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("architecture", ["phi3", "gemma2"])
def test_other_architectures(text: Path, out: Path, architecture: str, tmp_path: Path) -> None:
    model = random_of(architecture) if architecture == "gemma2" else fused(random_of("llama"))
    with io.open(F16) as file:
        words = {k: v for k, v in file.metadata.items() if k.startswith("tokenizer.")}
        rows = len(words["tokenizer.ggml.tokens"])
    embeddings = np.random.default_rng(3).normal(0, 0.15, (rows, 96))
    tensors = {**model.tensors, "token_embd.weight": gk.quantize(embeddings, "f32")}
    source = tmp_path / "source.gguf"
    io.save(source, tensors, {**model.metadata, **words})
    notes = quantize_file(source, out, "q4_1", calibrate=gk.Calibration(text, tune=8, **FEW))
    assert any(note.startswith("tuned: on ") for note in notes), notes


def fused(model: Memory) -> Memory:
    tensors = {name: tensor for name, tensor in model.tensors.items() if "bias" not in name}
    for layer in range(2):
        names = [f"blk.{layer}.attn_{part}.weight" for part in "qkv"]
        values = np.concatenate([tensors.pop(name).dequantize() for name in names])
        tensors[f"blk.{layer}.attn_qkv.weight"] = gk.quantize(values, "f32")
    metadata = {k.replace("llama.", "phi3."): v for k, v in model.metadata.items()}
    return Memory({**metadata, "general.architecture": "phi3"}, tensors)


def test_progress_is_of_parts_at_last(text: Path, out: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    calibration = gk.Calibration(text, tune=2, **FEW)
    quantize_file(F16, out, "q4_0", calibrate=calibration, progress=lambda *each: seen.append(each))
    tunes = [each for each in seen if each[2].startswith("tune: ")]
    assert tunes[-1][2] == "tune: step 2 of 2"
    assert [each[0] for each in tunes] == sorted(each[0] for each in tunes)
    assert seen[-1][0] == seen[-1][1]


def test_threads_of_torch_are_as_before(text: Path, out: Path) -> None:
    before = torch.get_num_threads()
    quantize_file(F16, out, "q4_0", calibrate=gk.Calibration(text, tune=1, **FEW))
    assert torch.get_num_threads() == before


def test_without_torch(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ArgumentError, match=r"tune needs torch: pip install ggmlkit\[torch\]"):
        gk.Calibration(text, tune=5)
    gk.Calibration(text)


def test_wrong_numbers_of_steps(text: Path) -> None:
    with pytest.raises(ArgumentError, match="tune must be at least 0"):
        gk.Calibration(text, tune=-1)
    with pytest.raises(ArgumentTypeError, match="tune must be a whole number"):
        gk.Calibration(text, tune=True)
