"""Tiny random models of each architecture, saved by transformers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_TINY = {
    "attn_implementation": "eager",
    "pad_token_id": None,
    "max_position_embeddings": 512,
    "initializer_range": 0.12,
}
_SLIDING = {"sliding_window": 24, "use_sliding_window": True}
_GEMMA2 = {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 24}
_GEMMA3 = {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 24}
_GEMMA3_ROPE = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
}
_LONGROPE = {
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0 + i / 16 for i in range(8)],
        "long_factor": [2.0 + i for i in range(8)],
        "original_max_position_embeddings": 128,
    },
    "original_max_position_embeddings": 128,
}

# For each: the family in transformers, gguf's name of the architecture, changed settings.
VARIANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("Llama", "llama", {}),
    "llama-biases": ("Llama", "llama", {"attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", "llama", {"sliding_window": None}),
    "mistral-window": ("Mistral", "llama", {"sliding_window": 24}),
    "qwen2": ("Qwen2", "qwen2", {}),
    "qwen2-tied": ("Qwen2", "qwen2", {"tie_word_embeddings": True}),
    "qwen2-window": ("Qwen2", "qwen2", {**_SLIDING, "max_window_layers": 1}),
    "qwen2-yarn": (
        "Qwen2",
        "qwen2",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1e4,
                "factor": 4.0,
                "original_max_position_embeddings": 128,
            }
        },
    ),
    "qwen3": ("Qwen3", "qwen3", {"head_dim": 32}),
    "qwen3-window": ("Qwen3", "qwen3", {"head_dim": 16, **_SLIDING, "max_window_layers": 0}),
    "phi3": ("Phi3", "phi3", {}),
    "phi3-part": (
        "Phi3",
        "phi3",
        {
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "partial_rotary_factor": 0.75,
            },
            "tie_word_embeddings": True,
        },
    ),
    "phi3-window": ("Phi3", "phi3", {"sliding_window": 24, "num_key_value_heads": 4}),
    "phi3-longrope": ("Phi3", "phi3", _LONGROPE),
    "gemma": ("Gemma", "gemma", {"head_dim": 32, "num_key_value_heads": 1}),
    "gemma2": ("Gemma2", "gemma2", {**_GEMMA2, "num_hidden_layers": 3}),
    "gemma2-caps": (
        "Gemma2",
        "gemma2",
        {**_GEMMA2, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 1.5},
    ),
    "gemma2-layers": (
        "Gemma2",
        "gemma2",
        {**_GEMMA2, "layer_types": ["full_attention", "sliding_attention"]},
    ),
    "gemma3": ("Gemma3", "gemma3", {**_GEMMA3, "num_hidden_layers": 7}),
    "gemma3-scaled": (
        "Gemma3",
        "gemma3",
        {
            **_GEMMA3,
            "layer_types": ["full_attention", "sliding_attention"],
            "rope_parameters": _GEMMA3_ROPE,
            "final_logit_softcapping": 1.5,
            "tie_word_embeddings": False,
        },
    ),
    "gemma3-full": ("Gemma3", "gemma3", {**_GEMMA3, "layer_types": ["full_attention"] * 2}),
}


@cache
def byte_level_tokenizer() -> Any:
    """A byte-level BPE with Llama 3's pre-tokenizer, in transformers' form."""
    import tokenizers
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

    from ggmlkit.text.splitting import families

    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
    split = families.by_name("llama-bpe").steps[0]["pattern"]["Regex"]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat sat on the mat, and the dog too"] * 20, trainer)
    return tokenizer


def save_tiny(family: str, folder: Path, shard: str | None = None, **changes: Any) -> Any:
    """Makes a random model of a family, such as "Llama", in a folder; returns the model."""
    import transformers

    import torch

    torch.manual_seed(3)
    kind = "TextConfig" if family == "Gemma3" else "Config"
    config = getattr(transformers, f"{family}{kind}")(
        **{
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 320,
            "max_position_embeddings": 256,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "initializer_range": 0.2,
            **changes,
        }
    )
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    byte_level_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<|begin|>", "eos_token": {"content": "<|end|>"}})
    )
    return model


def save_variant(variant: str, folder: Path) -> Any:
    """The same for a variant; its vectors are not all zeros or ones."""
    import torch

    family, _, changes = VARIANTS[variant]
    model = save_tiny(family, folder, **{**_TINY, **changes})
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 1:
                weights += torch.randn_like(weights) * 0.3
    model.save_pretrained(folder)
    return model
