"""Vocabularies: SentencePiece's tokenizer.model and tokenizer.json to gguf keys, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.conversion.sentencepiece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    read_sentencepiece,
)
from ggmlkit.errors import ConversionError, FormatError, ModelError
from ggmlkit.model import pretokenizers
from ggmlkit.model.vocab import Vocab, merges_of

_SPACE = "▁"
_NO_MERGE_SCORE = -1e6  # single characters: no merge makes them, so their score is never used


# ------------------------------------------------------------- to gguf metadata


def metadata_from_sentencepiece(path: Path, n_vocab: int) -> dict[str, Any]:
    """The ``tokenizer.*`` keys of a SentencePiece BPE model, filled up to ``n_vocab`` tokens.

    Tokens beyond the model's pieces are named by added_tokens.json beside it, if it is there.
    """
    model = read_sentencepiece(path)
    tokens, scores, kinds = list(model.pieces), list(model.scores), list(model.types)
    added = {number: text for text, number in _added_tokens(path.parent).items()}
    for number in range(len(tokens), n_vocab):
        known = number in added
        tokens.append(added.get(number, f"<unused{number}>"))
        scores.append(0.0 if known else _NO_MERGE_SCORE)
        kinds.append(USER_DEFINED if known else UNUSED)
    found: dict[str, Any] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": model.add_dummy_prefix,
        "tokenizer.ggml.remove_extra_whitespaces": model.remove_extra_whitespaces,
    }
    if model.charsmap:
        found["tokenizer.ggml.precompiled_charsmap"] = np.frombuffer(model.charsmap, np.uint8)
    ids = {"bos": model.bos_id, "eos": model.eos_id, "unknown": model.unk_id}
    ids["padding"] = model.pad_id
    found.update({f"tokenizer.ggml.{key}_token_id": i for key, i in ids.items() if i >= 0})
    if len(tokens) != n_vocab:
        raise ConversionError(f"{path} has {len(tokens)} tokens, the model {n_vocab}")
    return {**found, **_from_tokenizer_config(path.parent, tokens)}


def metadata_from_tokenizer_json(path: Path, n_vocab: int) -> dict[str, Any]:
    """The ``tokenizer.*`` keys of a tokenizer.json that holds a BPE, filled up to ``n_vocab``.

    Byte-level BPE becomes a ``gpt2`` vocabulary, BPE with byte fallback a ``llama`` one. Raises
    ConversionError, naming it, for another model or an unknown pre-tokenizer.
    """
    tokenizer = _read_object(path)
    model = tokenizer.get("model") or {}
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocab, dict) or model.get("type", "BPE") != "BPE":
        kind = model.get("type") if isinstance(model, dict) else None
        raise ConversionError(f"{path}: tokenizers of type {kind!r} are not supported, only BPE")
    added = [_added_entry(path, entry) for entry in _list(path, tokenizer, "added_tokens")]
    ids = {**vocab, **{text: number for text, number, _ in added}}
    tokens, kinds = _by_id(path, ids, n_vocab)
    for _, number, kind in added:
        kinds[number] = kind
    merges = [_merge_text(path, merge) for merge in _list(path, model, "merges")]
    if model.get("byte_fallback"):
        keys = _sentencepiece_keys(tokenizer, tokens, kinds, merges, model.get("unk_token"))
    else:
        keys = {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": _pre_name(path, tokenizer),
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": kinds,
            "tokenizer.ggml.merges": merges,
            "tokenizer.ggml.add_space_prefix": False,
        }
    keys["tokenizer.ggml.add_bos_token"] = _starts_with_special(tokenizer)
    return {**keys, **_from_tokenizer_config(path.parent, tokens)}


def _by_id(path: Path, ids: Mapping[str, int], n_vocab: int) -> tuple[list[str], list[int]]:
    tokens = [""] * n_vocab
    kinds = [UNUSED] * n_vocab
    for token, number in ids.items():
        if type(number) is not int or not 0 <= number < n_vocab:
            raise ConversionError(
                f"{path}: token {token!r} has id {number}, outside the model's {n_vocab}"
            )
        tokens[number], kinds[number] = token, NORMAL
    for number, kind in enumerate(kinds):
        if kind == UNUSED:
            tokens[number] = f"<unused{number}>"
    return tokens, kinds


def _list(path: Path, source: Mapping[str, Any], key: str) -> list[Any]:
    found = source.get(key) or []
    if not isinstance(found, list):
        raise FormatError(path, None, f"{key} is no list")
    return found


def _added_entry(path: Path, entry: object) -> tuple[str, int, int]:
    """Text, id and type of an added token; that the id is one, its reader checks."""
    if isinstance(entry, dict) and isinstance(entry.get("content"), str) and "id" in entry:
        return entry["content"], entry["id"], CONTROL if entry.get("special") else USER_DEFINED
    raise FormatError(path, None, f"{str(entry)[:80]} is no added token")


def _merge_text(path: Path, merge: object) -> str:
    if isinstance(merge, str):
        return merge
    if isinstance(merge, list) and len(merge) == 2 and all(isinstance(m, str) for m in merge):
        return " ".join(merge)
    raise ConversionError(f"{path}: {str(merge)[:80]} is not a merge of two tokens")


def _sentencepiece_keys(
    tokenizer: Mapping[str, Any],
    tokens: Sequence[str],
    kinds: list[int],
    merges: Sequence[str],
    unknown: object,
) -> dict[str, Any]:
    """A SentencePiece BPE in tokenizer.json's clothes: ranks of merges stand for scores."""
    rank: dict[str, int] = {}
    for number, merge in enumerate(merges):
        rank.setdefault(merge.replace(" ", ""), number)
    scores = [-float(rank[t]) if t in rank else _NO_MERGE_SCORE for t in tokens]
    for number, token in enumerate(tokens):
        if token == unknown:
            kinds[number] = UNKNOWN
        elif _is_byte_token(token):
            kinds[number] = BYTE
        if kinds[number] != NORMAL:
            scores[number] = 0.0
    found: dict[str, Any] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": list(tokens),
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_space_prefix": _prepends_space(tokenizer),
    }
    if unknown in tokens:
        found["tokenizer.ggml.unknown_token_id"] = tokens.index(str(unknown))
    return found


def _is_byte_token(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _prepends_space(tokenizer: Mapping[str, Any]) -> bool:
    steps = _steps(tokenizer.get("normalizer")) + _steps(tokenizer.get("pre_tokenizer"))
    return any(
        step.get("type") == "Prepend"
        or (step.get("type") == "Metaspace" and _metaspace_prepends(step))
        for step in steps
    )


def _metaspace_prepends(step: Mapping[str, Any]) -> bool:
    if "prepend_scheme" in step:
        return bool(step["prepend_scheme"] != "never")
    return bool(step.get("add_prefix_space", True))


def _steps(value: object) -> list[dict[str, Any]]:
    """The parts of a normalizer, pre-tokenizer or post-processor, sequences laid flat."""
    steps: list[dict[str, Any]] = []
    left: list[Any] = [value]  # no recursion: files nest as they like
    while left:
        step = left.pop()
        if not isinstance(step, dict):
            continue
        parts = step.get("pretokenizers") or step.get("normalizers") or step.get("processors")
        if step.get("type") == "Sequence" and isinstance(parts, list):
            left += reversed(parts)
        else:
            steps.append(step)
    return steps


def _pre_name(path: Path, tokenizer: Mapping[str, Any]) -> str:
    """gguf's name of the pre-tokenizer of a byte-level BPE."""
    pre_tokenizer = tokenizer.get("pre_tokenizer")
    family = pretokenizers.recognised(pre_tokenizer)
    if family is None:
        steps = " + ".join(str(step.get("type")) for step in _steps(pre_tokenizer)) or "none"
        raise ConversionError(f"{path}: the pre-tokenizer ({steps}) is of no known family")
    return family.name


def _starts_with_special(tokenizer: Mapping[str, Any]) -> bool:
    for step in _steps(tokenizer.get("post_processor")):
        single = step.get("single")
        if step.get("type") == "TemplateProcessing" and isinstance(single, list) and single:
            return isinstance(single[0], dict) and "SpecialToken" in single[0]
    return False


def _from_tokenizer_config(folder: Path, tokens: Sequence[str]) -> dict[str, Any]:
    """Special ids, added tokens and the chat template of tokenizer_config.json, where it is."""
    path = folder / "tokenizer_config.json"
    config = _read_object(path) if path.is_file() else {}
    found: dict[str, Any] = {}
    number_of = {token: number for number, token in enumerate(tokens)}
    for theirs, ours in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        token = config.get(f"{theirs}_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and text in number_of:
            found[f"tokenizer.ggml.{ours}_token_id"] = number_of[text]
    for key in ("add_bos_token", "add_eos_token"):
        if isinstance(config.get(key), bool):
            found[f"tokenizer.ggml.{key}"] = config[key]
    template = _chat_template(folder, config)
    if template is not None:
        found["tokenizer.chat_template"] = template
    return found


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    separate = folder / "chat_template.jinja"
    if separate.is_file():
        try:
            return separate.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(separate, error.start, "the chat template is no UTF-8") from None
    template = config.get("chat_template")
    if isinstance(template, list):  # several, each with a name
        named = (t for t in template if isinstance(t, dict) and t.get("name") == "default")
        template = next(named, {}).get("template")
    return template if isinstance(template, str) else None


def _added_tokens(folder: Path) -> dict[str, int]:
    path = folder / "added_tokens.json"
    found = _read_object(path) if path.is_file() else {}
    if not all(type(number) is int for number in found.values()):
        raise FormatError(path, None, "a token's id is no number")
    return found


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FormatError(path, None, "not a JSON object")
    return value


# ----------------------------------------------------------- from gguf metadata


def to_tokenizer_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json for the vocabulary in gguf keys.

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
    parts = _byte_level_parts(metadata) if kind == "gpt2" else _sentencepiece_parts(metadata, texts)
    vocab = {text: n for n, (text, k) in enumerate(zip(texts, kinds, strict=True)) if k != UNUSED}
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
        "post_processor": _post_processor(metadata, texts, parts.get("post_processor")),
        "model": model,
    }


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


def _byte_level_parts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    try:
        family = pretokenizers.by_name(str(metadata.get("tokenizer.ggml.pre", "default")))
    except ModelError as error:
        raise ConversionError(str(error)) from None
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    merges = [str(merge).split(" ", 1) for merge in metadata.get("tokenizer.ggml.merges", [])]
    return {
        "normalizer": {"type": "NFC"} if family.nfc else None,
        "pre_tokenizer": family.json,
        "decoder": {**level, "use_regex": True},
        "model": {"merges": merges, "ignore_merges": family.ignore_merges},
    }


def _sentencepiece_parts(metadata: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    unknown = int(metadata.get("tokenizer.ggml.unknown_token_id", 0))
    prefix = bool(metadata.get("tokenizer.ggml.add_space_prefix", True))
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    steps = [{"type": "Prepend", "prepend": _SPACE}, replace] if prefix else [replace]
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "merges": _joins(metadata),
            "unk_token": tokens[unknown] if unknown < len(tokens) else None,
            "fuse_unk": True,
            "byte_fallback": True,
        },
    }


def _joins(metadata: Mapping[str, Any]) -> list[list[str]]:
    """Every way to make a piece of two others, best piece first: what SentencePiece does."""
    try:
        return [list(pair) for pair in merges_of(Vocab.from_metadata(metadata))]
    except ModelError as error:
        raise ConversionError(str(error)) from None


def _post_processor(
    metadata: Mapping[str, Any], tokens: Sequence[str], default: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Adds the beginning-of-text token where the metadata asks for it."""
    usual = metadata.get("tokenizer.ggml.model") == "llama"
    number = metadata.get("tokenizer.ggml.bos_token_id")
    if number is None or not metadata.get("tokenizer.ggml.add_bos_token", usual):
        return default
    bos = tokens[int(number)]
    start = {"SpecialToken": {"id": bos, "type_id": 0}}
    first: dict[str, Any] = {"Sequence": {"id": "A", "type_id": 0}}
    second: dict[str, Any] = {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [start, first],
        "pair": [start, first, {"SpecialToken": {"id": bos, "type_id": 1}}, second],
        "special_tokens": {bos: {"id": bos, "ids": [int(number)], "tokens": [bos]}},
    }
