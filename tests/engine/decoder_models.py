"""Models for the decoder's tests, and the allowed distance from expected logits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit.arch.architectures import ARCHITECTURES
from ggmlkit.engine.llama import Llama
from ggmlkit.io.base import ModelFile
from ggmlkit.quantizing import quantize
from ggmlkit.tensor import Tensor
from paths import GOLDEN

TOKENS: list[int] = json.loads((GOLDEN / "manifest.json").read_text())["tokens"]
FILES = sorted(p for p in GOLDEN.glob("gg*.bin") if "lora" not in p.name)
FLOAT_FILES = [p for p in FILES if "f16" in p.name]
QUANTIZED_FILES = [p for p in FILES if "f16" not in p.name]

# Logits of the golden model have a standard deviation of 0.95.
#
# Float weights: the decoder computes in float32 and the oracle in float64; both keep keys and
# values in float16. The difference is float32 rounding (1e-6) and, sometimes, a key or value
# between two float16 numbers that is rounded the other way, a relative difference of 2**-11.
# Measured, in standard deviations of the logits: 1.2e-3 at most, 2e-5 in the median, 9e-5 rms, a
# tenth of the effect of the float16 cache itself (1.1e-3 rms).
EXACT_MAX, EXACT_RMS = 3e-3, 2e-4
# The old libraries rounded activations to float16 (11 bits) before each product with f16 weights:
# 14 products one after another, each with a relative rounding error up to 2**-12.
# Measured: 1.5e-3 at most, 3.1e-4 rms.
F16_MAX, F16_RMS = 4e-3, 6e-4
# Both theirs and ours quantize activations to 8 bits per 32, but differently (float16 scales there,
# 16-element halves in some): two independent rounding errors of 1/127/sqrt(12) per product.
# Measured: 0.047 at most, 0.0084 rms.
Q8_MAX, Q8_RMS = 0.08, 0.012
# The k-quants of that time used activations of 8 bits per 256 elements, which is less accurate.
# Measured: theirs 0.0225 rms from float activations, ours 0.0157; from each other 0.027 rms and at
# most 0.23.
K_MAX, K_RMS = 0.35, 0.04


def rms(x: NDArray[Any]) -> float:
    return float(np.sqrt((x.astype(np.float64) ** 2).mean()))


def assert_exact(got: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
    error = (got - expected) / expected.std()
    assert np.abs(error).max() < EXACT_MAX
    assert rms(error) < EXACT_RMS


def golden_logits(path: Path) -> NDArray[np.float32]:
    # The big-endian file has no logits of its own; the model is that of the other f16 files.
    name = path.stem if "be" not in path.stem.split("-") else "gguf-v1-f16"
    return np.asarray(np.load(GOLDEN / f"{name}.logits.npy"))


class Memory(ModelFile):
    """A model in memory, without a file."""

    def __init__(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().__init__(Path("memory"), "gguf", version=3, metadata=metadata)
        self._tensors = tensors

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self._tensors

    def close(self) -> None:
        pass


def random_model(
    kind: str = "f32", *, tied: bool = True, freqs: bool = False, ffn: int = 160, **keys: Any
) -> Memory:
    """Grouped heads, more head elements than the model's width, heads that are partly rotated."""
    random = np.random.default_rng(5)
    dim, heads, kv_heads, head_dim, vocab, layers = 96, 4, 2, 32, 101, 2
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.embedding_length": dim,
        "llama.feed_forward_length": ffn,
        "llama.context_length": 512,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.attention.key_length": head_dim,
        "llama.attention.value_length": head_dim,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": 24,
        "llama.rope.freq_base": 500.0,
    }
    metadata.update({f"llama.{k}": v for k, v in keys.items()})
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocab, dim),
        "output_norm.weight": (dim,),
    }
    if not tied:
        shapes["output.weight"] = (vocab, dim)
    if freqs:
        shapes["rope_freqs.weight"] = (12,)
    for i in range(layers):
        for name, shape in {
            "attn_norm": (dim,),
            "ffn_norm": (dim,),
            "attn_q": (heads * head_dim, dim),
            "attn_k": (kv_heads * head_dim, dim),
            "attn_v": (kv_heads * head_dim, dim),
            "attn_output": (dim, heads * head_dim),
            "ffn_gate": (ffn, dim),
            "ffn_up": (ffn, dim),
            "ffn_down": (dim, ffn),
        }.items():
            shapes[f"blk.{i}.{name}.weight"] = shape
    tensors = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            tensors[name] = quantize(random.uniform(0.5, 2, shape), "f32", name=name)
        else:
            values = random.normal(0, 1.5 / np.sqrt(shape[1]), shape)
            tensors[name] = quantize(values, kind, name=name)
    return Memory(metadata, tensors)


WINDOW = 100  # of models with one


def random_of(architecture: str, kind: str = "f32", **keys: Any) -> Memory:
    """A random model of an architecture, with all that it may have."""
    keys = {"context_length": 700, **keys}
    if architecture == "gemma2":
        keys = {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0, **keys}
        keys.setdefault("attention.sliding_window", 0)
    if architecture == "gemma3":
        sliding = {"attention.sliding_window_pattern": [True, False], "rope.freq_base_swa": 300.0}
        linear = {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
        keys = {"attention.sliding_window": WINDOW, **sliding, **linear, **keys}
    llama = random_model(kind, **keys)
    metadata = {
        key.replace("llama.", f"{architecture}."): value for key, value in llama.metadata.items()
    }
    metadata["general.architecture"] = architecture
    random = np.random.default_rng(11)
    tensors = dict(llama.tensors)
    sizes = {"attn_q": 128, "attn_k": 64, "attn_v": 64}
    if architecture == "llama":
        sizes |= {"attn_output": 96, "ffn_gate": 160, "ffn_up": 160, "ffn_down": 96}
    norms: dict[str, int] = {}
    if ARCHITECTURES[architecture].has_head_norms:
        norms = {"attn_q_norm": 32, "attn_k_norm": 32}
    if ARCHITECTURES[architecture].has_post_norms:
        norms |= {"post_attention_norm": 96, "post_ffw_norm": 96}
    for layer in range(2):
        for part, size in sizes.items():
            tensors[f"blk.{layer}.{part}.bias"] = quantize(random.normal(0, 0.5, size), "f32")
        for part, size in norms.items():
            values = random.uniform(0.5, 2, size)
            tensors[f"blk.{layer}.{part}.weight"] = quantize(values, "f32")
    return Memory(metadata, tensors)


# Of the matrices that a random adapter changes.
RANKS = {"attn_q": 3, "attn_k": 5, "attn_v": 1, "attn_output": 8, "ffn_gate": 2, "ffn_up": 17}
RANKS |= {"ffn_down": 4, "output": 6, "token_embd": 2}
META: dict[str, Any] = {
    "general.architecture": "llama",
    "general.type": "adapter",
    "adapter.type": "lora",
    "adapter.lora.alpha": 8.0,
}


def part_of(name: str) -> str:
    """``attn_q`` of ``blk.0.attn_q.weight``."""
    return name.removesuffix(".weight").rpartition(".")[2]


def random_adapter(
    path: Path, model: ModelFile, seed: int = 0, parts: Mapping[str, int] = RANKS
) -> Path:
    """A gguf adapter of the model's matrices of these names, each of its rank."""
    random = np.random.default_rng(seed)
    tensors: dict[str, Tensor] = {}
    for name, weight in model.tensors.items():
        rank = parts.get(part_of(name))
        if rank is not None and len(weight.shape) == 2:
            rows, columns = weight.shape
            a = random.normal(0, columns**-0.5, (rank, columns))
            b = random.normal(0, 0.3 * rank**0.5 / 8, (rows, rank))
            if name == "token_embd.weight":
                a, b = b, a.T
            tensors[f"{name}.lora_a"] = quantize(a, "f32")
            tensors[f"{name}.lora_b"] = quantize(b, "f32")
    gk.save(path, tensors, META, container="gguf")
    return path


def fresh(file: str = "gguf-v1-f16.bin", **settings: Any) -> Llama:
    return Llama(GOLDEN / file, **settings)
