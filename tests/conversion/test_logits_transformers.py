"""A converted model computes what transformers computes with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import torch
from ggmlkit.conversion.convert import convert
from ggmlkit.conversion.export import export

MakeHf = Callable[..., tuple[Path, Any]]
TOKENS = [0, 5, 17, 300, 42, 42, 7, 199, 256, 3, 88, 120] * 8
VARIANTS = {
    "plain": {"num_key_value_heads": 4},
    "gqa": {},
    "tied": {"tie_word_embeddings": True},
    "head-size": {"head_dim": 32},
    "base": {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
    "linear": {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    "llama3": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
    "yarn": {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 1e4,
            "factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
}


def logits(model: Any) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        return np.asarray(model(torch.tensor([TOKENS])).logits[0].numpy())


def error(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    """Root mean square of the difference, relative to the spread of the logits."""
    return float(np.sqrt(np.mean((ours - theirs) ** 2)) / theirs.std())


# The only difference is that keys and values are kept in float16 (11 bits): 2⁻¹² of each.
BOUND = 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type", ["f32", "f16", "bf16"])
def test_logits_equal_transformers(
    tiny_hf: MakeHf, tmp_path: Path, variant: str, type: str
) -> None:
    folder, model = tiny_hf(**VARIANTS[variant])
    convert(folder, tmp_path / "m.gguf", type=type)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[type]
    for weights in model.parameters():
        if weights.ndim == 2:
            weights.data = weights.data.to(dtype).float()
    ours = gk.Llama(tmp_path / "m.gguf", threads=1).logits(TOKENS)
    assert error(ours, logits(model)) < BOUND


def test_an_exported_golden_model_in_transformers(golden: Path, tmp_path: Path) -> None:
    import transformers

    export(golden / "ggjt-v3-f16.bin", tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokens = [token % 384 for token in TOKENS]
    with torch.no_grad():
        theirs = model(torch.tensor([tokens])).logits[0].numpy()
    ours = gk.Llama(golden / "ggjt-v3-f16.bin", threads=1).logits(tokens)
    assert error(ours, theirs) < BOUND


def test_transformers_reads_our_gguf(tiny_hf: MakeHf, tmp_path: Path) -> None:
    import transformers

    folder, model = tiny_hf()
    convert(folder, tmp_path / "m.gguf", type="f32")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf")
    assert error(logits(again), logits(model)) < 1e-6
