"""tokenizer.json, the file of the tokenizers library, in gguf keys."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.conversion.json_file import list_of, read_json
from ggmlkit.conversion.vocabulary.byte_level import byte_level_keys
from ggmlkit.conversion.vocabulary.carried_json import carried
from ggmlkit.conversion.vocabulary.normalizers import (
    check_normalizer,
    normalizer_steps,
    normalizes_to_nfc,
    sentencepiece_keys,
)
from ggmlkit.conversion.vocabulary.sentencepiece import NO_MERGE_SCORE
from ggmlkit.conversion.vocabulary.sentencepiece_model import BYTE, NORMAL, UNKNOWN
from ggmlkit.conversion.vocabulary.special_tokens import special_keys, special_names
from ggmlkit.conversion.vocabulary.surroundings import surrounding_keys
from ggmlkit.conversion.vocabulary.token_table import AddedToken, TokenTable
from ggmlkit.conversion.vocabulary.unigram import UnigramTable
from ggmlkit.conversion.vocabulary.wordpiece import wordpiece_keys
from ggmlkit.errors import ConversionError, FormatError, ModelError
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.splitting.steps import words_of
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.tokenizer_json import MERGE_ORDER, metaspace_prepends
from ggmlkit.text.tokenizer_steps import flat_steps, step_types
from ggmlkit.text.vocab import Vocab, merges_of
from ggmlkit.text.vocab_keys import CARRIED


def metadata_from_tokenizer_json(path: Path, n_vocab: int) -> dict[str, Any]:
    """The ``tokenizer.*`` keys of a tokenizer.json, filled up to ``n_vocab`` tokens.

    Byte-level BPE becomes a ``gpt2`` vocabulary, BPE with byte fallback a ``llama`` one, Unigram a
    ``t5`` and WordPiece a ``bert`` one. Raises ConversionError, naming it, for another model, an
    unknown pre-tokenizer, and a normalizer that the tokenizers library does not know. Warns of a
    normalizer that gguf has no key for.
    """
    tokenizer = read_json(path)
    model = tokenizer.get("model") or {}
    kind = model.get("type", "BPE") if isinstance(model, dict) else None
    table = TokenTable(path, n_vocab)
    if kind == "Unigram":
        unigram = UnigramTable(path, tokenizer, table)
        table.add(_added_tokens(path, tokenizer))
        table.mark_special(special_names(path.parent))
        keys = unigram.keys() | {"tokenizer.ggml.add_space_prefix": _prepends_space(tokenizer)}
        return _checked(
            path, _with_special_keys(path, tokenizer, table, keys, carried(tokenizer, keys))
        )
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if kind not in ("BPE", "WordPiece") or not isinstance(vocab, dict):
        raise ConversionError(
            f"{path}: tokenizers of type {str(kind)[:80]!r} are not supported, only BPE, Unigram "
            "and WordPiece"
        )
    for text, number in vocab.items():
        table.put(text, number)
    table.add(_added_tokens(path, tokenizer))
    if kind == "WordPiece":
        table.mark_special(special_names(path.parent))
        keys = wordpiece_keys(tokenizer, table)
        return _checked(
            path, _with_special_keys(path, tokenizer, table, keys, carried(tokenizer, keys))
        )
    merges = [_merge_text(path, merge) for merge in list_of(path, model, "merges")]
    if model.get("byte_fallback"):
        _check_pre_tokenizer(path, tokenizer)
        expressed, keys = sentencepiece_keys(tokenizer)
        keys |= _sentencepiece_keys(tokenizer, table, merges, model.get("unk_token"))
    else:
        table.mark_special(special_names(path.parent))
        family = _family(path, tokenizer, bool(model.get("ignore_merges")))
        expressed = [{"type": "NFC"}] if normalizes_to_nfc(tokenizer) else []
        keys = byte_level_keys(table, path, merges, family.name)
    carried_key = carried(tokenizer, keys)
    check_normalizer(path, tokenizer, expressed, carried=bool(carried_key))
    return _with_special_keys(path, tokenizer, table, keys, carried_key)


def _with_special_keys(
    path: Path,
    tokenizer: Mapping[str, Any],
    table: TokenTable,
    keys: dict[str, Any],
    carried_key: Mapping[str, Any],
) -> dict[str, Any]:
    """The keys of a vocabulary, of its special tokens, and of the carried tokenizer.json."""
    keys |= special_keys(path.parent, table.texts, keys)
    keys |= surrounding_keys(path, tokenizer, table.texts, keys, carried=bool(carried_key))
    return {**keys, **carried_key}


def _checked(path: Path, keys: dict[str, Any]) -> dict[str, Any]:
    """The keys; ConversionError if this library's tokenizer can't run what they carry."""
    if CARRIED not in keys:
        raise ConversionError(
            f"{path}: gguf can't hold this tokenizer, because the model has no embeddings for some "
            "added tokens; give a tokenizer.json without them"
        )
    try:
        Tokenizer.from_metadata(keys)
    except ModelError as error:
        raise ConversionError(f"{path}: {error}") from None
    return keys


def _added_tokens(path: Path, tokenizer: Mapping[str, Any]) -> Iterator[AddedToken]:
    for entry in list_of(path, tokenizer, "added_tokens"):
        text = entry.get("content") if isinstance(entry, dict) else None
        number = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(text, str) or type(number) is not int:
            raise FormatError(path, None, f"{str(entry)[:80]} is not an added token")
        yield AddedToken(text, number, bool(entry.get("special")))


def _merge_text(path: Path, merge: object) -> str:
    if isinstance(merge, str):
        return merge
    if isinstance(merge, list) and len(merge) == 2 and all(isinstance(m, str) for m in merge):
        return " ".join(merge)
    raise ConversionError(f"{path}: {str(merge)[:80]} is not a merge of two tokens")


# ---------------------------------------------------------------- SentencePiece


def _sentencepiece_keys(
    tokenizer: Mapping[str, Any], table: TokenTable, merges: Sequence[str], unknown: object
) -> dict[str, Any]:
    """The keys of a SentencePiece BPE from a tokenizer.json, with scores from the merges' ranks."""
    rank: dict[str, int] = {}
    for number, merge in enumerate(merges):
        rank.setdefault(merge.replace(" ", ""), number)
    tokens, kinds = table.texts, table.kinds
    scores = [-float(rank[t]) if t in rank else NO_MERGE_SCORE for t in tokens]
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
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_space_prefix": _prepends_space(tokenizer),
    }
    if unknown in tokens:
        found["tokenizer.ggml.unknown_token_id"] = tokens.index(str(unknown))
    return {**found, **_merge_keys(found, merges)}


def _check_pre_tokenizer(path: Path, tokenizer: Mapping[str, Any]) -> None:
    try:
        words_of(tokenizer.get("pre_tokenizer"))
    except ModelError as error:
        raise ConversionError(f"{path}: {error}") from None


def _merge_keys(found: Mapping[str, Any], merges: Sequence[str]) -> dict[str, Any]:
    """The merges; only the order of each piece's merges if the rest follows from the scores."""
    vocab = Vocab.from_metadata(found)
    for order, long_left in (("short-left", False), ("long-left", True)):
        same = merges_of(vocab, defined_join=True, long_left=long_left)
        if list(map(" ".join, same)) == list(merges):
            return {MERGE_ORDER: order}
    return {"tokenizer.ggml.merges": list(merges)}


def _is_byte_token(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _prepends_space(tokenizer: Mapping[str, Any]) -> bool:
    steps = normalizer_steps(tokenizer) + flat_steps(tokenizer.get("pre_tokenizer"))
    return any(
        (step.get("type") == "Prepend" and step.get("prepend") in ("▁", " "))
        or (step.get("type") == "Metaspace" and metaspace_prepends(step))
        for step in steps
    )


# ------------------------------------------------------------------- byte-level


def _family(
    path: Path, tokenizer: Mapping[str, Any], ignore_merges: bool
) -> pretokenizers.PreTokenizer:
    """The family of pre-tokenizers that cuts text as this tokenizer does."""
    pre_tokenizer, nfc = tokenizer.get("pre_tokenizer"), normalizes_to_nfc(tokenizer)
    family = pretokenizers.recognised(pre_tokenizer, nfc=nfc, ignore_merges=ignore_merges)
    if family is None:
        steps = step_types(flat_steps(pre_tokenizer))
        raise ConversionError(f"{path}: the pre-tokenizer ({steps}) is not of a known family")
    for what, theirs, ours in (
        ("NFC", nfc, family.nfc),
        ("ignore_merges", ignore_merges, family.ignore_merges),
    ):
        if theirs != ours:
            warnings.warn(
                f"{path}: {what} is {theirs}, but {ours} for the file's pre-tokenizer "
                f"{family.name!r}, so some texts get other ids",
                ConversionWarning,
                stacklevel=2,
            )
    return family
