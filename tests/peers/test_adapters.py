"""llama.cpp takes the gguf adapters that are written here, and computes the same with them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit.arch.tensor_names import to_hf
from ggmlkit.conversion.base_model import hparams_of
from ggmlkit.io.torch.writer import write_torch

CONTEXT = 64
TEXT = "The capital of France is Paris, and that of Italy is Rome, where all roads lead. " * 12


@pytest.fixture(scope="module")
def peft_folder(f16_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter of every matrix of some layers, in PEFT's form."""
    folder = tmp_path_factory.mktemp("peft")
    settings = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "rank_pattern": {"q_proj": 4}}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    random = np.random.default_rng(3)
    tensors = {}
    for name, (rows, *columns) in hparams_of(f16_model).shapes():
        if name.startswith(("blk.0.", "blk.7.", "blk.20.")) and columns:
            module = f"base_model.model.{to_hf(name)}".removesuffix(".weight")
            rank = 4 if "attn_q" in name else 8
            a = random.normal(0, columns[0] ** -0.5, (rank, columns[0]))
            b = random.normal(0, 0.06, (rows, rank))
            tensors[f"{module}.lora_A.weight"] = gk.quantize(a, "f32")
            tensors[f"{module}.lora_B.weight"] = gk.quantize(b, "f32")
    with (folder / "adapter_model.bin").open("w+b") as file:
        write_torch(file, tensors)
    return folder


def llama_cpps(
    tools: Path, model: Path, folder: Path, *options: str
) -> tuple[list[int], NDArray[np.float64]]:
    """Tokens of a window, and log probabilities after those of its second half but the last."""
    (folder / "text").write_text(TEXT)
    saved = folder / "logits"
    command = [str(tools / "llama-perplexity"), "-m", str(model), "-f", str(folder / "text")]
    command += ["-c", str(CONTEXT), "--chunks", "1", "--save-all-logits", str(saved), *options]
    subprocess.run(command, check=True, capture_output=True)
    raw = saved.read_bytes()
    assert raw[:8] == b"_logits_"
    # In 16 bits between the largest and the smallest of a row, which two floats before it tell.
    _, vocab, chunks = np.frombuffer(raw, "<i4", 3, 8).tolist()
    tokens = np.frombuffer(raw, "<i4", CONTEXT * chunks, 20)
    rows = np.frombuffer(raw, "<u2", offset=20 + 4 * tokens.size).reshape(CONTEXT // 2 - 1, -1)
    scale, lowest = np.ascontiguousarray(rows[:, :4]).view("<f4").astype(np.float64).T[..., None]
    return tokens[:CONTEXT].tolist(), scale * rows[:, 4 : 4 + vocab] + lowest


def ours(llama: gk.Llama, tokens: list[int]) -> NDArray[np.float64]:
    logits = llama.logits(tokens)[CONTEXT // 2 : -1].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_llama_cpp_computes_the_same_with_our_adapter(
    llama_bin: Path, f16_model: Path, peft_folder: Path, tmp_path: Path
) -> None:
    gk.convert(peft_folder, tmp_path / "a.gguf", base=f16_model)
    tokens, plain = llama_cpps(llama_bin, f16_model, tmp_path)
    for scale in (1.0, -0.5):
        option = ["--lora-scaled", f"{tmp_path / 'a.gguf'}:{scale}"]
        _, theirs = llama_cpps(llama_bin, f16_model, tmp_path, *option)
        llama = gk.Llama(f16_model, lora=[(peft_folder, scale)], context=CONTEXT)
        likely = theirs > -10  # what llama.cpp saves of the others is rounded
        off = np.abs(ours(llama, tokens) - theirs)[likely]
        assert off.max() < 0.05
        assert np.abs(plain - theirs)[likely].mean() > 20 * off.mean()
