"""Small valid files of every kind, a few kB each, to be damaged."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

import ggmlkit as gk
from ggmlkit.io.gguf.split import split_file
from ggmlkit.io.imatrix import read_imatrix, save_imatrix
from ggmlkit.tensor import Tensor
from raw_gguf import Entry, raw_gguf

DIM, FFN, HEADS = 32, 96, 2
PIECES = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab", "▁ab", "<x>"]
KINDS = [2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 4]
SCORES = [0.0, 0.0, 0.0, 0.0, -9.0, -8.0, -7.0, -1.0, -2.0, -3.0, 0.0]
LETTERS = ["<|im_start|>", "<|im_end|>", "a", "b", "Ġ", "Ċ", "ab", "Ġa", "Ġab", "é"]
MERGES = ["a b", "Ġ a", "Ġ ab"]
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m.content | trim }}"
    "{% if not loop.last %}, {% endif %}{% endfor %}{{ {'a': [1, 2.5]} | tojson }}"
    "{% set n = namespace(x=1) %}{% macro f(y) %}{{ y ~ n.x * 2 }}{% endmacro %}{{ f('a') }}"
    "{{ bos_token[:1] | upper if tools is none else raise_exception('no') }}"
)


def spm_vocabulary() -> dict[str, Any]:
    """A SentencePiece vocabulary in gguf keys."""
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": PIECES,
        "tokenizer.ggml.scores": SCORES,
        "tokenizer.ggml.token_type": KINDS,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_space_prefix": True,
        "tokenizer.chat_template": TEMPLATE,
    }


def bpe_vocabulary() -> dict[str, Any]:
    """A byte-level BPE in gguf keys."""
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": LETTERS,
        "tokenizer.ggml.token_type": [3, 3, 1, 1, 1, 1, 1, 1, 1, 4],
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
    }


VOCABULARIES = {"llama": spm_vocabulary, "gpt2": bpe_vocabulary}


def model_metadata() -> dict[str, Any]:
    """gguf keys of a model of one layer."""
    return {
        "general.architecture": "llama",
        "llama.context_length": 64,
        "llama.embedding_length": DIM,
        "llama.block_count": 1,
        "llama.feed_forward_length": FFN,
        "llama.attention.head_count": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.dimension_count": DIM // HEADS,
        **spm_vocabulary(),
    }


def shapes(hf: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes of that model's tensors: Meta's names, or Hugging Face's."""
    layer = "model.layers.0." if hf else "layers.0."
    parts = {
        ("tok_embeddings.weight", "model.embed_tokens.weight"): (len(PIECES), DIM),
        ("norm.weight", "model.norm.weight"): (DIM,),
        ("output.weight", "lm_head.weight"): (len(PIECES), DIM),
    }
    for meta, other, shape in (
        ("attention_norm", "input_layernorm", (DIM,)),
        ("attention.wq", "self_attn.q_proj", (DIM, DIM)),
        ("attention.wk", "self_attn.k_proj", (DIM, DIM)),
        ("attention.wv", "self_attn.v_proj", (DIM, DIM)),
        ("attention.wo", "self_attn.o_proj", (DIM, DIM)),
        ("ffn_norm", "post_attention_layernorm", (DIM,)),
        ("feed_forward.w1", "mlp.gate_proj", (FFN, DIM)),
        ("feed_forward.w3", "mlp.up_proj", (FFN, DIM)),
        ("feed_forward.w2", "mlp.down_proj", (DIM, FFN)),
    ):
        parts[f"{layer}{meta}.weight", f"{layer}{other}.weight"] = shape
    return {names[hf]: shape for names, shape in parts.items()}


def tensors(matrix: str, hf: bool = False) -> dict[str, Tensor]:
    """Random tensors of that model; matrices of type ``matrix``, vectors f32."""
    rng = np.random.default_rng(0)
    return {
        name: gk.quantize(
            rng.standard_normal(shape, np.float32), "f32" if len(shape) == 1 else matrix, name=name
        )
        for name, shape in shapes(hf).items()
    }


def legacy(path: Path, container: str, version: int | None, matrix: str) -> None:
    gk.save(path, tensors(matrix), model_metadata(), container=container, version=version)


def model(path: Path, matrix: str = "q4_0") -> None:
    """A gguf model that runs."""
    legacy(path.with_suffix(".bin"), "ggjt", 3, matrix)
    gk.convert(path.with_suffix(".bin"), path, type=matrix)
    path.with_suffix(".bin").unlink()


def gguf(path: Path, **settings: Any) -> None:
    """Two tensors, every kind of value."""
    metadata = {
        "general.architecture": "llama",
        "n": 1,
        "f": 1.5,
        "yes": True,
        "texts": ["a", "bc", ""],
        "numbers": np.arange(4, dtype=np.int16),
        "nested": [[1, 2], ["x"]],
        "large": 1 << 40,
    }
    data = np.arange(64, dtype=np.float32)
    parts = [
        gk.quantize(data.reshape(2, 32), "q4_0", name="first"),
        gk.quantize(data.reshape(1, 64), "q5_1", name="second"),
        gk.quantize(data[:3], "f32", name="third"),
    ]
    gk.save(path, parts, metadata, container="gguf", **settings)


def unusual_gguf(path: Path) -> None:
    """Two interleaved tensors between plain ones, and one of an unknown type."""
    block = np.arange(18, dtype=np.uint8)
    numbers = np.arange(8, dtype="<f4").tobytes()
    entries = [
        Entry("first", (8,), 0, numbers),
        Entry("by four", (2, 4, 64), 31, np.tile(block, 16).tobytes()),
        Entry("unknown", (4, 64), 77, bytes(100)),
        Entry("by eight", (8, 32), 38, np.tile(block, 8).tobytes()),
        Entry("last", (8,), 0, numbers),
    ]
    path.write_bytes(raw_gguf(entries))


def split(folder: Path) -> None:
    """``m-00001-of-00003.gguf`` and so on."""
    gguf(folder / "whole.gguf")
    split_file(folder / "whole.gguf", folder / "m", max_tensors=1)
    (folder / "whole.gguf").unlink()


def lora(path: Path) -> None:
    pair = {
        "layers.0.attention.wq.weight.loraA": gk.quantize(np.ones((32, 4), np.float32), "f32"),
        "layers.0.attention.wq.weight.loraB": gk.quantize(np.ones((32, 4), np.float32), "f32"),
    }
    gk.save(path, pair, {"adapter.lora.alpha": 8}, container="ggla")


def adapter(path: Path) -> None:
    """A gguf adapter of the model in ``m.gguf`` beside it."""
    model(path.with_name("m.gguf"))
    shapes = {"blk.0.attn_q.weight": (DIM, DIM), "blk.0.ffn_down.weight": (DIM, FFN)}
    halves = {}
    for name, (rows, columns) in shapes.items():
        halves[f"{name}.lora_a"] = gk.quantize(np.ones((2, columns), np.float32), "f32")
        halves[f"{name}.lora_b"] = gk.quantize(np.ones((rows, 2), np.float32), "f16")
    metadata = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 4.0,
    }
    gk.save(path, halves, metadata)


def imatrix_dat(path: Path) -> None:
    entries = b"".join(
        struct.pack("<i", len(name)) + name + struct.pack("<2i4f", 3, 4, 1, 2, 3, 4)
        for name in (b"blk.0.attn_q.weight", b"output.weight")
    )
    path.write_bytes(struct.pack("<i", 2) + entries + struct.pack("<2i", 5, 4) + b"text")


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def imatrix_gguf(path: Path) -> None:
    imatrix_dat(path)
    save_imatrix(path, read_imatrix(path))
