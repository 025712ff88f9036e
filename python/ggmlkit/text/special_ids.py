"""Ids of the tokens that a vocabulary gives a part to: first, last, unknown, padding and others."""

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
# The key of a JSON object of special tokens that gguf has no keys for, text by name.
CARRIED_TEXTS = "ggmlkit.tokenizer_special_tokens"
# Names that the vocabularies of a kind give these tokens; what counts where a file has no key.
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
        vocab: the vocabulary that ids and usual names belong to.
        metadata: ``tokenizer.ggml.NAME_token_id`` counts where it is there; -1 says "none".
        name: gguf's: ``bos``, ``eos``, ``unknown``, ``padding``, ``seperator`` (spelt so), ``cls``,
            ``mask``.

    Raises ModelError for an id that is none of the vocabulary's.
    """
    told = token_id(metadata, name, len(vocab.pieces))
    usual = USUAL.get(vocab.model, {}).get(name)
    if told is not None or usual is None or f"{PREFIX}{name}_token_id" in metadata:
        return told
    if vocab.model == "bert" and name == "bos":
        first = token_id(metadata, "cls", len(vocab.pieces))
        if first is not None:
            return first
    return vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN).get(usual)


def special_texts(vocab: Vocab, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Texts of the special tokens by Hugging Face's names, such as ``pad_token``.

    Chat templates use them. ``bos_token`` and ``eos_token`` are always there, if need be empty, so
    that templates can join them to other texts; of the others those that the file has. A file
    converted from a checkpoint carries what gguf has no key for, such as ``image_token``.
    """
    found = {"bos_token": "", "eos_token": "", **carried_texts(metadata)}
    for theirs, ours in HF_NAMES.items():
        try:
            number = special_id(vocab, metadata, ours)
        except ModelError:
            continue  # many files have a padding token beyond their vocabulary
        text = None if number is None else vocab.pieces[number]
        if isinstance(text, str):
            found[f"{theirs}_token"] = text
    return found


def carried_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Texts, by name, of special tokens that gguf has no key for; empty if they can't be read."""
    try:
        told = json.loads(metadata.get(CARRIED_TEXTS, "{}"))
    except (ValueError, TypeError, RecursionError):
        return {}
    entries = told.items() if isinstance(told, dict) else ()
    return {
        name: text
        for name, text in entries
        if name.endswith("_token") and isinstance(text, str)  # no other variable's name
    }
