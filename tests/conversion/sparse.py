"""Checkpoints of many gigabytes that take no disk space: their tensors are holes in a file."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path

from ggmlkit.io.foreign.safetensors import safetensors_header
from paths import GOLDEN

Shapes = dict[str, tuple[int, ...]]


def sparse_folder(folder: Path, *, dim: int, ffn: int, layers: int) -> tuple[int, int]:
    """A Hugging Face folder of zeros in f16; returns bytes of all tensors, and of the largest."""
    shapes = _shapes(dim, ffn, layers)
    _write_settings(folder, dim, ffn, layers)
    _write_safetensors(folder, {name: ("f16", shape) for name, shape in shapes.items()})
    return _sizes(shapes)


def sparse_gptq(folder: Path, *, dim: int, ffn: int, layers: int) -> tuple[int, int]:
    """One with GPTQ layers of four bits; returns the same bytes, of the values in f16."""
    shapes = _shapes(dim, ffn, layers)
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        if "_proj" not in name:
            tensors[name] = ("f16", shape)
            continue
        (rows, columns), layer = shape, name.removesuffix(".weight")
        groups = columns // 128
        tensors[f"{layer}.qweight"] = ("i32", (columns // 8, rows))
        tensors[f"{layer}.qzeros"] = ("i32", (groups, rows // 8))
        tensors[f"{layer}.scales"] = ("f16", (groups, rows))
        tensors[f"{layer}.g_idx"] = ("i32", (columns,))
    _write_settings(folder, dim, ffn, layers, {"quant_method": "gptq", "bits": 4})
    _write_safetensors(folder, tensors)
    return _sizes(shapes)


def sparse_easylm(folder: Path, *, dim: int, ffn: int, layers: int) -> tuple[int, int]:
    """EasyLM's ``streaming_params`` of zeros in f16; returns the same bytes."""
    shapes = _shapes(dim, ffn, layers)
    _write_settings(folder, dim, ffn, layers)
    with (folder / "streaming_params").open("wb") as file:
        for name, shape in shapes.items():
            keys, stored = _easylm_keys(name), shape
            if keys[-1] == "kernel" and len(shape) == 2:
                stored = shape[::-1]
            size = 2 * prod(shape)
            sizes = b"".join(b"\xce" + struct.pack(">I", n) for n in stored)
            array = b"\x93" + bytes([0x90 | len(stored)]) + sizes + _text("float16")
            array += b"\xc6" + struct.pack(">I", size)
            packed = b"\xc9" + struct.pack(">Ib", len(array) + size, 1) + array
            head = b"\x92" + bytes([0x90 | len(keys)]) + b"".join(map(_text, keys))
            file.write(head + b"\xc6" + struct.pack(">I", len(packed) + size) + packed)
            file.seek(size, 1)
        file.truncate()
    return _sizes(shapes)


def _shapes(dim: int, ffn: int, layers: int) -> Shapes:
    layer = {
        "input_layernorm": (dim,),
        "self_attn.q_proj": (dim, dim),
        "self_attn.k_proj": (dim, dim),
        "self_attn.v_proj": (dim, dim),
        "self_attn.o_proj": (dim, dim),
        "post_attention_layernorm": (dim,),
        "mlp.gate_proj": (ffn, dim),
        "mlp.up_proj": (ffn, dim),
        "mlp.down_proj": (dim, ffn),
    }
    shapes: Shapes = {
        f"model.layers.{number}.{name}.weight": shape
        for number in range(layers)
        for name, shape in layer.items()
    }
    shapes["model.embed_tokens.weight"] = shapes["lm_head.weight"] = (384, dim)
    shapes["model.norm.weight"] = (dim,)
    return shapes


def _sizes(shapes: Shapes) -> tuple[int, int]:
    sizes = [2 * prod(shape) for shape in shapes.values()]
    return sum(sizes), max(sizes)


def _write_safetensors(folder: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    header = safetensors_header([(n, kind, shape) for n, (kind, shape) in tensors.items()], {})
    size = sum({"f16": 2, "i32": 4}[kind] * prod(shape) for kind, shape in tensors.values())
    with (folder / "model.safetensors").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)


def _write_settings(
    folder: Path, dim: int, ffn: int, layers: int, quantization: dict[str, object] | None = None
) -> None:
    folder.mkdir()
    config: dict[str, object] = {
        "model_type": "llama",
        "hidden_size": dim,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "vocab_size": 384,
    }
    if quantization is not None:
        config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(GOLDEN / "meta" / "tokenizer.model", folder / "tokenizer.model")


_EASYLM = {
    "model/layers": "transformer/h",
    "self_attn/q_proj": "attention/wq",
    "self_attn/k_proj": "attention/wk",
    "self_attn/v_proj": "attention/wv",
    "self_attn/o_proj": "attention/wo",
    "mlp/gate_proj": "feed_forward/w1",
    "mlp/down_proj": "feed_forward/w2",
    "mlp/up_proj": "feed_forward/w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "model/norm": "transformer/ln_f",
    "model/embed_tokens/weight": "transformer/wte/embedding",
    "/weight": "/kernel",
}


def _easylm_keys(name: str) -> list[str]:
    path = name.replace(".", "/")
    for theirs, ours in _EASYLM.items():
        path = path.replace(theirs, ours)
    return ["params", *path.split("/")]


def _text(value: str) -> bytes:
    return bytes([0xA0 | len(value)]) + value.encode()
