"""The tokenizer.json of a vocabulary in gguf keys."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ggmlkit.conversion.sentencepiece_model import (
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
)
from ggmlkit.conversion.vocabulary.carried import carried_tokenizer
from ggmlkit.conversion.vocabulary.steps import flat_steps
from ggmlkit.errors import ConversionError, ModelError
from ggmlkit.model import pretokenizers
from ggmlkit.model.vocab import Vocab, merges_of

_SPACE = "▁"


def to_tokenizer_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json for the vocabulary in gguf keys.

    Where the metadata carries what the model's own tokenizer.json said, that is said again.
    Raises ConversionError for a vocabulary of another kind than ``gpt2`` and ``llama``.
    """
    kind = metadata.get("tokenizer.ggml.model")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if tokens is None or kind not in ("gpt2", "llama"):
        raise ConversionError(f"a vocabulary of model {kind!r} cannot become a tokenizer.json")
    texts = [t if isinstance(t, str) else t.decode("utf-8", "replace") for t in tokens]
    kinds = [int(k) for k in metadata.get("tokenizer.ggml.token_type", [NORMAL] * len(texts))]
    if len(kinds) != len(texts):
        raise ConversionError(f"{len(texts)} tokens but {len(kinds)} token types")
    merges = _given_merges(metadata) if kind == "gpt2" else _joins(metadata)
    if kind == "llama":  # where spaces are ▁, but for tokens that are found in the text as it is
        texts = [
            text.replace(_SPACE, " ") if k == USER_DEFINED else text
            for text, k in zip(texts, kinds, strict=True)
        ]
    vocab = {text: n for n, (text, k) in enumerate(zip(texts, kinds, strict=True)) if k != UNUSED}
    told = carried_tokenizer(metadata, texts)
    if told is not None and _is_of_family(told, metadata):
        return {**told, "model": {**told["model"], "vocab": vocab, "merges": merges}}
    parts = _byte_level_parts(metadata) if kind == "gpt2" else _sentencepiece_parts(metadata, texts)
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        **parts.pop("model"),
        "vocab": vocab,
        "merges": merges,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added_token(number, texts[number], special=k != USER_DEFINED)
            for number, k in enumerate(kinds)
            if k in (CONTROL, USER_DEFINED, UNKNOWN)
        ],
        **parts,
        "post_processor": _post_processor(metadata, texts),
        "model": model,
    }


def _is_of_family(tokenizer: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether a carried tokenizer still cuts text as the metadata says it is cut."""
    model = tokenizer["model"]
    if metadata["tokenizer.ggml.model"] == "llama":
        return bool(model.get("byte_fallback"))
    family = pretokenizers.recognised(
        tokenizer.get("pre_tokenizer"),
        nfc=bool(flat_steps(tokenizer.get("normalizer"))),
        ignore_merges=bool(model.get("ignore_merges")),
    )
    return family is not None and family == _family(metadata)


def _added_token(number: int, text: str, *, special: bool) -> dict[str, Any]:
    return {
        "id": number,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


# ------------------------------------------------------------------- byte-level


def _family(metadata: Mapping[str, Any]) -> pretokenizers.PreTokenizer:
    try:
        return pretokenizers.by_name(str(metadata.get("tokenizer.ggml.pre", "default")))
    except ModelError as error:
        raise ConversionError(str(error)) from None


def _byte_level_parts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    family = _family(metadata)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "normalizer": {"type": "NFC"} if family.nfc else None,
        "pre_tokenizer": family.json,
        "decoder": {**level, "use_regex": True},
        "model": {"ignore_merges": family.ignore_merges},
    }


def _given_merges(metadata: Mapping[str, Any]) -> list[list[str]]:
    return [str(merge).split(" ", 1) for merge in metadata.get("tokenizer.ggml.merges", [])]


# ---------------------------------------------------------------- SentencePiece


def _sentencepiece_parts(metadata: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    unknown = int(metadata.get("tokenizer.ggml.unknown_token_id", 0))
    prefix = bool(metadata.get("tokenizer.ggml.add_space_prefix", True))
    decoders: list[dict[str, Any]] = [
        _replace({"String": _SPACE}, " "),
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(metadata, prefix)},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "unk_token": tokens[unknown] if unknown < len(tokens) else None,
            "fuse_unk": True,
            "byte_fallback": True,
        },
    }


def _normalizers(metadata: Mapping[str, Any], prefix: bool) -> list[dict[str, Any]]:
    """What SentencePiece does to a text before it looks for pieces, in its order."""
    steps: list[dict[str, Any]] = []
    charsmap = np.asarray(metadata.get("tokenizer.ggml.precompiled_charsmap", []))
    if charsmap.size:
        text = base64.b64encode(charsmap.astype(np.uint8).tobytes()).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": text})
    if metadata.get("tokenizer.ggml.remove_extra_whitespaces", False):
        steps.append(_replace({"Regex": r"\A +|[ ▁]+\z"}, ""))
        steps.append(_replace({"Regex": " +"}, " "))
    if prefix:
        steps.append({"type": "Prepend", "prepend": _SPACE})
    return [*steps, _replace({"String": " "}, _SPACE)]


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _joins(metadata: Mapping[str, Any]) -> list[list[str]]:
    """Every way to make a piece of two others, best piece first: what SentencePiece does."""
    try:
        return [list(pair) for pair in merges_of(Vocab.from_metadata(metadata))]
    except ModelError as error:
        raise ConversionError(str(error)) from None


# ---------------------------------------------------------------- post-processor


def _post_processor(metadata: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any] | None:
    """Adds the first and last tokens of a text where the metadata asks for them."""
    usual = metadata.get("tokenizer.ggml.model") == "llama"
    bos = _added(metadata, "bos", usual, tokens)
    eos = _added(metadata, "eos", False, tokens)
    if bos is None and eos is None:
        return None

    def around(sequence: str, type_id: int) -> list[dict[str, Any]]:
        middle: dict[str, Any] = {"Sequence": {"id": sequence, "type_id": type_id}}
        first, last = (
            [] if number is None else [{"SpecialToken": {"id": tokens[number], "type_id": type_id}}]
            for number in (bos, eos)
        )
        return [*first, middle, *last]

    return {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": [*around("A", 0), *around("B", 1)],
        "special_tokens": {
            tokens[number]: {"id": tokens[number], "ids": [number], "tokens": [tokens[number]]}
            for number in (bos, eos)
            if number is not None
        },
    }


def _added(
    metadata: Mapping[str, Any], name: str, usual: bool, tokens: Sequence[str]
) -> int | None:
    """Id of a token that is added to texts, or None."""
    number = metadata.get(f"tokenizer.ggml.{name}_token_id")
    if number is None or not metadata.get(f"tokenizer.ggml.add_{name}_token", usual):
        return None
    return int(number) if 0 <= int(number) < len(tokens) else None
