"""The decoder in torch computes what the engine does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import torch
from decoder_models import Memory, random_model, random_of, rms
from ggmlkit.arch.gguf_keys import from_gguf_keys
from ggmlkit.calibration.torch_layers import Layers
from ggmlkit.engine.fused_tensors import unfused
from ggmlkit.tensor import Tensor

IDS = np.random.default_rng(4).integers(0, 100, 150, dtype=np.int32)
# Keys and values in float16 on the engine's side: 2⁻¹² of each.
RMS, MOST = 2e-3, 2e-2


def torch_logits(metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    hparams = from_gguf_keys(metadata, tensors)
    layers = Layers(hparams, len(IDS))
    weights = {n: torch.from_numpy(t.dequantize()) for n, t in unfused(tensors, hparams)}
    with torch.no_grad():
        x = layers.embedded(weights["token_embd.weight"], torch.from_numpy(IDS)[None])
        for number in range(hparams.layers):
            prefix = f"blk.{number}."
            own = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
            x = layers.layer(number, x, own)
        end = layers.end(x, weights["output_norm.weight"])
        output = weights.get("output.weight", weights["token_embd.weight"])
        return layers.logits(end, output)[0].numpy()


def assert_same(path: Path) -> None:
    ours = gk.Llama(path, threads=1, context=len(IDS), activation_bits=16).logits(IDS.tolist())
    with gk.open(path) as file:
        found = torch_logits(file.metadata, file.tensors)
    error = (found - ours) / ours.std()
    assert rms(error) < RMS
    assert np.abs(error).max() < MOST


def fused_model() -> Memory:
    """As Phi-3's files: joined matrices, and other frequencies beyond the trained context."""
    model = random_model()
    tensors = dict(model.tensors)
    for layer in range(2):
        for joined, parts in (("attn_qkv", "attn_q attn_k attn_v"), ("ffn_up", "ffn_gate ffn_up")):
            names = [f"blk.{layer}.{part}.weight" for part in parts.split()]
            values = np.concatenate([tensors.pop(name).dequantize() for name in names])
            tensors[f"blk.{layer}.{joined}.weight"] = gk.quantize(values, "f32")
    factors = np.linspace(1, 3, 12)
    tensors["rope_factors_short.weight"] = gk.quantize(factors, "f32")
    tensors["rope_factors_long.weight"] = gk.quantize(factors * 2, "f32")
    metadata = {k.replace("llama.", "phi3."): v for k, v in model.metadata.items()}
    metadata |= {"general.architecture": "phi3", "phi3.rope.scaling.type": "longrope"}
    metadata["phi3.rope.scaling.original_context_length"] = 128
    return Memory(metadata, tensors)


YARN = {"type": "yarn", "factor": 4.0, "original_context_length": 64}
MODELS = {
    "llama3": random_model(freqs=True),
    "linear": random_model(
        tied=False, **{"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
    ),
    "yarn": random_of("llama", **{f"rope.scaling.{key}": value for key, value in YARN.items()}),
    "window": random_model(**{"attention.sliding_window": 40}),
    "phi3": fused_model(),
    **{name: random_of(name) for name in ("qwen2", "qwen3", "gemma", "gemma2", "gemma3")},
}


@pytest.mark.parametrize("name", MODELS)
def test_random_models(name: str, tmp_path: Path) -> None:
    gk.save(tmp_path / "m.gguf", MODELS[name].tensors, MODELS[name].metadata)
    assert_same(tmp_path / "m.gguf")
