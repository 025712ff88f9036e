"""The tokenizer_config.json of a vocabulary in gguf keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ggmlkit.conversion.vocabulary.special_tokens import SPECIAL, hf_chat_template


def tokenizer_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Special tokens, whether they are added, and the chat template."""
    tokens = metadata["tokenizer.ggml.tokens"]
    # The class that takes tokenizer.json as it is; others build parts of their own.
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for short, key in SPECIAL.items():
        number = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if number is not None and int(number) < len(tokens):
            config[f"{short}_token"] = tokens[int(number)]
    for key in ("add_bos_token", "add_eos_token"):
        if f"tokenizer.ggml.{key}" in metadata:
            config[key] = bool(metadata[f"tokenizer.ggml.{key}"])
    config["clean_up_tokenization_spaces"] = False
    length = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if length is not None:
        config["model_max_length"] = int(length)
    template = hf_chat_template(metadata)
    if template is not None:
        config["chat_template"] = template
    return config
