"""The tokenizer.json of a vocabulary in gguf keys."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from ggmlkit.conversion.vocabulary.carried_json import carried_tokenizer
from ggmlkit.conversion.vocabulary.normalizers import normalizes_to_nfc
from ggmlkit.conversion.vocabulary.subword_models import (
    scored_pieces,
    unigram_settings,
    word_pieces,
    wordpiece_parts,
)
from ggmlkit.errors import ConversionError, ModelError
from ggmlkit.text.joining.surroundings import Surroundings, surroundings
from ggmlkit.text.plain_pieces import SPACE
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.splitting.normalizers import TRIMMED
from ggmlkit.text.tokenizer_json import MERGE_ORDER
from ggmlkit.text.vocab import TokenType, Vocab, charsmap, flag, merges_of, token_id

_BPE = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
_ADDED = (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)


def to_tokenizer_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json for the vocabulary in gguf keys.

    If the metadata carries the model's own tokenizer.json, its settings are used again. Raises
    ConversionError for keys that are not a vocabulary.
    """
    try:
        vocab = Vocab.from_metadata(metadata)
        return _tokenizer_json(vocab, metadata)
    except ModelError as error:
        raise ConversionError(f"no tokenizer.json can be written: {error}") from None


def _tokenizer_json(vocab: Vocab, metadata: Mapping[str, Any]) -> dict[str, Any]:
    kinds = vocab.types.tolist()
    texts = _texts(vocab, kinds)
    original = carried_tokenizer(vocab, metadata, texts)
    if original is not None and _cuts_alike(original, vocab):
        pieces = _pieces(vocab, metadata, texts, original["model"], carried=True)
        return {**original, "model": {**original["model"], **pieces}}
    if vocab.model == "bert":
        parts = wordpiece_parts(vocab, metadata)
    elif vocab.model == "gpt2":
        parts = _byte_level_parts(vocab)
    else:
        parts = _sentencepiece_parts(metadata, texts)
        if vocab.model == "t5":
            parts["model"] = unigram_settings(vocab, metadata)
    defaults = _BPE if vocab.model in ("gpt2", "llama") else {}
    model = {**defaults, **parts.pop("model")}
    model |= _pieces(vocab, metadata, texts, model, carried=False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added_token(number, texts[number], special=kind != TokenType.USER_DEFINED)
            for number, kind in enumerate(kinds)
            if kind in _ADDED
        ],
        **parts,
        "post_processor": _post_processor(surroundings(vocab, metadata), texts),
        "model": model,
    }


def _pieces(
    vocab: Vocab,
    metadata: Mapping[str, Any],
    texts: Sequence[str],
    model: Mapping[str, Any],
    *,
    carried: bool,
) -> dict[str, Any]:
    """The vocabulary, and the merges if there are any, as a tokenizer.json's model has them."""
    if vocab.model == "t5":
        return {"vocab": scored_pieces(vocab, metadata, texts)}
    if vocab.model == "bert":
        return {"vocab": word_pieces(vocab, texts, model)}
    ids = {
        text: number
        for number, (text, kind) in enumerate(zip(texts, vocab.types.tolist(), strict=True))
        if kind != TokenType.UNUSED
    }
    if carried:
        merges = _carried_merges(vocab, metadata)
    elif vocab.model == "gpt2":
        merges = _given_merges(vocab)
    else:
        merges = list(map(list, merges_of(vocab)))
    return {"vocab": ids, "merges": merges}


def _texts(vocab: Vocab, kinds: Sequence[int]) -> list[str]:
    """The pieces as tokenizer.json has them.

    Spaces of a SentencePiece vocabulary are ▁, except in tokens that are found in unchanged text.
    """
    texts = [p if isinstance(p, str) else p.decode("utf-8", "replace") for p in vocab.pieces]
    if vocab.model in ("gpt2", "bert"):
        return texts
    return [
        text.replace(SPACE, " ") if kind == TokenType.USER_DEFINED else text
        for text, kind in zip(texts, kinds, strict=True)
    ]


def _cuts_alike(tokenizer: Mapping[str, Any], vocab: Vocab) -> bool:
    """Whether a carried tokenizer still cuts text as the vocabulary's keys say."""
    model = tokenizer["model"]
    if vocab.model in ("t5", "bert"):
        return True
    if vocab.model == "llama":
        return bool(model.get("byte_fallback"))
    family = pretokenizers.recognised(
        tokenizer.get("pre_tokenizer"),
        nfc=normalizes_to_nfc(tokenizer),
        ignore_merges=bool(model.get("ignore_merges")),
    )
    return family is not None and family == pretokenizers.by_name(vocab.pre)


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


def _byte_level_parts(vocab: Vocab) -> dict[str, Any]:
    family = pretokenizers.by_name(vocab.pre)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "normalizer": {"type": "NFC"} if family.nfc else None,
        "pre_tokenizer": family.json,
        "decoder": {**level, "use_regex": True},
        "model": {"ignore_merges": family.ignore_merges},
    }


def _carried_merges(vocab: Vocab, metadata: Mapping[str, Any]) -> list[list[str]]:
    """The merges of a tokenizer.json whose other parts a file carries."""
    if vocab.model == "gpt2" or len(vocab.merges):
        return _given_merges(vocab)
    long_left = metadata.get(MERGE_ORDER) == "long-left"
    return list(map(list, merges_of(vocab, defined_join=True, long_left=long_left)))


def _given_merges(vocab: Vocab) -> list[list[str]]:
    merges = []
    for number, merge in enumerate(vocab.merges):
        pair = merge.split(" ", 1) if isinstance(merge, str) else []
        if len(pair) != 2:
            raise ModelError(f"tokenizer.ggml.merges: entry {number} is not a pair")
        merges.append(pair)
    return merges


# ---------------------------------------------------------------- SentencePiece


def _sentencepiece_parts(metadata: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    unknown = token_id({"tokenizer.ggml.unknown_token_id": 0, **metadata}, "unknown", len(tokens))
    prefix = flag(metadata, "add_space_prefix", True)
    decoders: list[dict[str, Any]] = [
        _replace({"String": SPACE}, " "),
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
            "unk_token": None if unknown is None else tokens[unknown],
            "fuse_unk": True,
            "byte_fallback": True,
        },
    }


def _normalizers(metadata: Mapping[str, Any], prefix: bool) -> list[dict[str, Any]]:
    """What SentencePiece does to a text before it looks for pieces, in its order."""
    steps: list[dict[str, Any]] = []
    compiled = charsmap(metadata)
    if compiled:
        text = base64.b64encode(compiled).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": text})
    if flag(metadata, "remove_extra_whitespaces", False):
        steps.append(_replace({"Regex": TRIMMED}, ""))
        steps.append(_replace({"Regex": " +"}, " "))
    if prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    return [*steps, _replace({"String": " "}, SPACE)]


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


# ---------------------------------------------------------------- post-processor


def _post_processor(around: Surroundings, tokens: Sequence[str]) -> dict[str, Any] | None:
    """The post-processor that adds the metadata's tokens before and after a text."""
    if not around.before and not around.after:
        return None

    def put(sequence: str, type_id: int) -> list[dict[str, Any]]:
        before, after = (
            [{"SpecialToken": {"id": tokens[number], "type_id": type_id}} for number in ids]
            for ids in (around.before, around.after)
        )
        return [*before, {"Sequence": {"id": sequence, "type_id": type_id}}, *after]

    return {
        "type": "TemplateProcessing",
        "single": put("A", 0),
        "pair": [*put("A", 0), *put("B", 1)],
        "special_tokens": {
            tokens[number]: {"id": tokens[number], "ids": [number], "tokens": [tokens[number]]}
            for number in (*around.before, *around.after)
        },
    }
