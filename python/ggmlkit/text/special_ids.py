"""Ids of a vocabulary's special tokens: first, last, unknown, padding and others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ggmlkit.errors import ModelError
from ggmlkit.text.vocab import PREFIX, TokenType, Vocab, token_id

# Hugging Face's names of special tokens, and gguf's.
HF_NAMES: Mapping[str, str] = {
    "bos": "bos",
    "eos": "eos",
    "unk": "unknown",
    "sep": "seperator",
    "pad": "padding",
    "cls": "cls",
    "mask": "mask",
}
# The key of a JSON object with the special tokens that gguf has no keys for: texts by name.
CARRIED_TEXTS = "ggmlkit.tokenizer_special_tokens"
# Usual texts of these tokens for each kind of vocabulary; used if a file has no key.
USUAL: Mapping[str, Mapping[str, str]] = {
    "llama": {"bos": "<s>", "eos": "</s>", "unknown": "<unk>"},
    "t5": {"eos": "</s>", "unknown": "<unk>", "padding": "<pad>"},
    "bert": {
        "bos": "[CLS]",
        "cls": "[CLS]",
        "seperator": "[SEP]",
        "unknown": "[UNK]",
        "padding": "[PAD]",
        "mask": "[MASK]",
    },
}


def special_id(vocab: Vocab, metadata: Mapping[str, Any], name: str) -> int | None:
    """The id of a special token, or None.

    Args:
        vocab: the vocabulary.
        metadata: ``tokenizer.ggml.NAME_token_id`` counts if it exists; -1 means "none".
        name: gguf's name: ``bos``, ``eos``, ``unknown``, ``padding``, ``seperator`` (gguf's
            spelling), ``cls``, ``mask``.

    Raises ModelError if the id is outside the vocabulary.
    """
    stored = token_id(metadata, name, len(vocab.pieces))
    usual = USUAL.get(vocab.model, {}).get(name)
    if stored is not None or usual is None or f"{PREFIX}{name}_token_id" in metadata:
        return stored
    if vocab.model == "bert" and name == "bos":
        first = token_id(metadata, "cls", len(vocab.pieces))
        if first is not None:
            return first
    return vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN).get(usual)


def special_texts(vocab: Vocab, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Texts of the special tokens by Hugging Face's names, such as ``pad_token``.

    Chat templates use them. ``bos_token`` and ``eos_token`` always exist, empty if necessary, so
    that templates can join them to other texts; others exist if the file has them. A file that was
    converted from a checkpoint carries those that gguf has no key for, such as ``image_token``.
    """
    found = {"bos_token": "", "eos_token": "", **carried_texts(metadata)}
    for hf_name, gguf_name in HF_NAMES.items():
        try:
            number = special_id(vocab, metadata, gguf_name)
        except ModelError:
            continue  # many files have a padding token beyond their vocabulary
        text = None if number is None else vocab.pieces[number]
        if isinstance(text, str):
            found[f"{hf_name}_token"] = text
    return found


def carried_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Texts, by name, of special tokens that gguf has no key for; empty if they can't be read."""
    try:
        texts = json.loads(metadata.get(CARRIED_TEXTS, "{}"))
    except (ValueError, TypeError, RecursionError):
        return {}
    entries = texts.items() if isinstance(texts, dict) else ()
    return {
        name: text
        for name, text in entries
        if name.endswith("_token") and isinstance(text, str)  # other names could be other variables
    }
