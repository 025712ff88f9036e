"""Checks of the tensors of a converted checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import ggmlkit as gk


def expected(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The gguf tensors of a model, written out by hand."""
    state = {k: v.detach().float().numpy() for k, v in model.state_dict().items()}
    config = model.config
    found = {
        "token_embd.weight": state["model.embed_tokens.weight"],
        "output_norm.weight": state["model.norm.weight"],
    }
    if not config.tie_word_embeddings:
        found["output.weight"] = state["lm_head.weight"]
    own = {
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}."
        for theirs, ours in own.items():
            found[f"blk.{layer}.{ours}.weight"] = state[f"{prefix}{theirs}.weight"]
        for kind, heads in (("q", config.num_attention_heads), ("k", config.num_key_value_heads)):
            rows = state[f"{prefix}self_attn.{kind}_proj.weight"]
            half = rows.shape[0] // heads // 2
            permuted = rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape)
            found[f"blk.{layer}.attn_{kind}.weight"] = permuted
    return found


def check(path: Path, model: Any) -> None:
    tensors = gk.open(path).tensors
    freqs = tensors.pop("rope_freqs.weight", None)
    assert (freqs is not None) == (model.config.rope_parameters["rope_type"] == "llama3")
    wanted = expected(model)
    assert set(tensors) == set(wanted)
    for name, values in wanted.items():
        assert np.array_equal(tensors[name].dequantize(), values), name
