"""Checkpoints of many gigabytes that take no room: their tensors are holes in a sparse file."""

from __future__ import annotations

import json
import shutil
from math import prod
from pathlib import Path

from ggmlkit.io.safetensors import safetensors_header

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def sparse_folder(folder: Path, *, dim: int, ffn: int, layers: int) -> tuple[int, int]:
    """A Hugging Face folder with zeros in f16; bytes of all tensors, and of the largest."""
    folder.mkdir()
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
    shapes = {
        f"model.layers.{number}.{name}.weight": shape
        for number in range(layers)
        for name, shape in layer.items()
    }
    shapes["model.embed_tokens.weight"] = shapes["lm_head.weight"] = (384, dim)
    shapes["model.norm.weight"] = (dim,)
    header = safetensors_header([(name, "f16", shape) for name, shape in shapes.items()], {})
    sizes = [2 * prod(shape) for shape in shapes.values()]
    with (folder / "model.safetensors").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + sum(sizes))
    config = {
        "model_type": "llama",
        "hidden_size": dim,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "vocab_size": 384,
    }
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(GOLDEN / "meta" / "tokenizer.model", folder / "tokenizer.model")
    return sum(sizes), max(sizes)
