"""The tokenizer_config.json of a vocabulary in gguf keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ggmlkit.conversion.vocabulary.special_tokens import hf_chat_template, special_id
from ggmlkit.errors import ConversionError, ModelError
from ggmlkit.text.special_ids import HF_NAMES, carried_texts
from ggmlkit.text.vocab import flag


def tokenizer_config(metadata: Mapping[str, Any], context: int) -> dict[str, Any]:
    """Special tokens, whether they are added, the context length, and the chat template.

    Raises ConversionError for keys that are not a vocabulary.
    """
    tokens = metadata["tokenizer.ggml.tokens"]
    # This class uses tokenizer.json unchanged; others replace parts of it.
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    config |= carried_texts(metadata)
    for short, key in HF_NAMES.items():
        number = special_id(metadata, key)
        if number is not None:
            config[f"{short}_token"] = tokens[number]
    for key in ("add_bos_token", "add_eos_token"):
        if f"tokenizer.ggml.{key}" in metadata:
            config[key] = _flag(metadata, key)
    config["clean_up_tokenization_spaces"] = False
    config["model_max_length"] = context
    template = hf_chat_template(metadata)
    if template is not None:
        config["chat_template"] = template
    return config


def _flag(metadata: Mapping[str, Any], key: str) -> bool:
    try:
        return flag(metadata, key, False)
    except ModelError as error:
        raise ConversionError(str(error)) from None
