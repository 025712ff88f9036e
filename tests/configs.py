"""Makes a small config.json, and gguf keys and tensors from hyper-parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ggmlkit.arch.gguf_keys import to_gguf_keys
from ggmlkit.arch.hparams import Hparams
from ggmlkit.tensor import Tensor


def config(**changes: Any) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 96,
        "vocab_size": 384,
        "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        **changes,
    }


def gguf_of(hparams: Hparams) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The keys as read from a file, in float32, and tensors without values."""
    metadata = {
        key: float(np.float32(value)) if isinstance(value, float) else value
        for key, value in to_gguf_keys(hparams).items()
    }
    rope = hparams.rope_tensors()
    nothing = np.empty(0, np.uint8)
    tensors = {
        name: Tensor("f32", shape, rope[name].view(np.uint8) if name in rope else lambda: nothing)
        for name, shape in hparams.shapes()
    }
    return metadata, tensors
