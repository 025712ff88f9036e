"""Shapes of models to measure: the demo's real one, and random ones.

Speed depends only on shapes and types, so random weights are used where there are no real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk


@dataclass(frozen=True)
class Shape:
    """The sizes of a LLaMA, by their usual names."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    tied: bool  # the embedding is the output matrix too


SHAPES = {
    "15M": Shape(288, 6, 6, 6, 768, 32000, tied=True),  # llama2.c's stories15M
    "42M": Shape(512, 8, 8, 8, 1376, 32000, tied=True),  # and stories42M
    "135M": Shape(576, 30, 9, 3, 1536, 49152, tied=True),  # SmolLM2
    "213M": Shape(1024, 16, 16, 4, 2816, 32000, tied=True),  # all widths multiples of 256
    "362M": Shape(960, 32, 15, 5, 2560, 49152, tied=True),
    "1.1B": Shape(2048, 22, 32, 4, 5632, 32000, tied=False),  # TinyLlama
    "7B": Shape(4096, 32, 32, 32, 11008, 32000, tied=False),  # LLaMA
}


def write_random(shape: Shape, type: str, path: Path) -> None:
    """A model of `shape` with normally distributed weights, one tensor in memory at a time."""
    gk.save(path, list(_tensors(shape, type)), _metadata(shape, path.stem))


def _tensors(shape: Shape, type: str) -> Iterator[gk.Tensor]:
    dim, kv = shape.dim, shape.dim // shape.heads * shape.kv_heads
    sizes: dict[str, tuple[int, ...]] = {"token_embd.weight": (shape.vocab, dim)}
    for i in range(shape.layers):
        matrices = {
            "attn_norm": (dim,),
            "attn_q": (dim, dim),
            "attn_k": (kv, dim),
            "attn_v": (kv, dim),
            "attn_output": (dim, dim),
            "ffn_norm": (dim,),
            "ffn_gate": (shape.ffn, dim),
            "ffn_up": (shape.ffn, dim),
            "ffn_down": (dim, shape.ffn),
        }
        sizes |= {f"blk.{i}.{name}.weight": size for name, size in matrices.items()}
    sizes["output_norm.weight"] = (dim,)
    if not shape.tied:
        sizes["output.weight"] = (shape.vocab, dim)
    for seed, (name, size) in enumerate(sizes.items()):
        kind = "f32" if len(size) == 1 else type
        yield gk.Tensor(kind, size, partial(_data, kind, size, seed), name)


def _data(type: str, size: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    """Norms are ones, and matrices keep the scale of their inputs; the same at every call."""
    if len(size) == 1:
        return np.ones(size, np.float32).view(np.uint8)
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(prod(size), np.float32) * np.float32(size[-1] ** -0.5)
    return gk.quantize(values.reshape(size), type).data


def _metadata(shape: Shape, name: str) -> dict[str, Any]:
    """Includes a SentencePiece vocabulary, which loaders require; its texts are not used."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [2, 3, 3, *[6] * 256]  # unknown, control, bytes
    words = shape.vocab - len(tokens)
    return {
        "general.architecture": "llama",
        "general.name": name,
        "llama.vocab_size": shape.vocab,
        "llama.context_length": 2048,
        "llama.embedding_length": shape.dim,
        "llama.block_count": shape.layers,
        "llama.feed_forward_length": shape.ffn,
        "llama.rope.dimension_count": shape.dim // shape.heads,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [*tokens, *(f"▁w{i}" for i in range(words))],
        "tokenizer.ggml.scores": [float(-i) for i in range(shape.vocab)],
        "tokenizer.ggml.token_type": [*kinds, *[1] * words],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
