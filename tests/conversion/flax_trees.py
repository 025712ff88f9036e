"""The arrays of a Hugging Face model by the names of Flax's and EasyLM's LLaMA."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np


def flax_name(name: str) -> str:
    """The path in Hugging Face's FlaxLlama of the parameter that PyTorch calls ``name``."""
    path, _, last = name.replace(".", "/").rpartition("/")
    if path.endswith("norm"):
        return f"{path}/{last}"
    return f"{path}/{'embedding' if 'embed' in path else 'kernel'}"


def flax_tree(model: Any, dtype: str = "float32") -> dict[str, Any]:
    """Arrays by path; dense layers are transposed."""
    found = {}
    for name, tensor in model.state_dict().items():
        path, values = flax_name(name), tensor.float().numpy()
        array = jnp.asarray(values.T if path.endswith("kernel") else values)
        found[path] = np.asarray(array.astype(dtype))
    return found


def nested(arrays: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *keys, last = path.split("/")
        branch = tree
        for key in keys:
            branch = branch.setdefault(key, {})
        branch[last] = array
    return tree


def easylm_tree(model: Any) -> dict[str, Any]:
    """The arrays by EasyLM's names, with q and k in Meta's row order."""
    config = model.config
    parts = {
        "self_attn/q_proj": "attention/wq",
        "self_attn/k_proj": "attention/wk",
        "self_attn/v_proj": "attention/wv",
        "self_attn/o_proj": "attention/wo",
        "mlp/gate_proj": "feed_forward/w1",
        "mlp/down_proj": "feed_forward/w2",
        "mlp/up_proj": "feed_forward/w3",
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm",
        "model/embed_tokens": "transformer/wte",
        "model/norm": "transformer/ln_f",
        "model/layers": "transformer/h",
    }
    found = {}
    for path, array in flax_tree(model).items():
        for kind, heads in (
            ("q_proj", config.num_attention_heads),
            ("k_proj", config.num_key_value_heads),
        ):
            if kind in path:
                halves = array.reshape(array.shape[0], heads, 2, -1)
                array = halves.swapaxes(2, 3).reshape(array.shape)
        for theirs, ours in parts.items():
            path = path.replace(theirs, ours)
        found[path.removesuffix("weight") + "kernel" if path.endswith("weight") else path] = array
    return found
