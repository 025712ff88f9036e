"""tokenizer.json, the file of the tokenizers library, in gguf keys."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.conversion.hparams import ConversionWarning
from ggmlkit.conversion.json_file import list_of, read_json
from ggmlkit.conversion.sentencepiece_model import BYTE, NORMAL, UNKNOWN
from ggmlkit.conversion.vocabulary.byte_level import byte_level_keys
from ggmlkit.conversion.vocabulary.carried import carried
from ggmlkit.conversion.vocabulary.sentencepiece import NO_MERGE_SCORE
from ggmlkit.conversion.vocabulary.special_tokens import special_keys, special_names
from ggmlkit.conversion.vocabulary.steps import flat_steps, said, surrounding_tokens
from ggmlkit.conversion.vocabulary.token_table import AddedToken, TokenTable
from ggmlkit.conversion.vocabulary.unigram import UnigramTable
from ggmlkit.conversion.vocabulary.wordpiece import wordpiece_keys
from ggmlkit.errors import ConversionError, FormatError, ModelError
from ggmlkit.model import pretokenizers
from ggmlkit.model.added_tokens import CARRIED
from ggmlkit.model.tokenizer import Tokenizer


def metadata_from_tokenizer_json(path: Path, n_vocab: int) -> dict[str, Any]:
    """The ``tokenizer.*`` keys of a tokenizer.json, filled up to ``n_vocab`` tokens.

    Byte-level BPE becomes a ``gpt2`` vocabulary, BPE with byte fallback a ``llama`` one, Unigram a
    ``t5`` and WordPiece a ``bert`` one. Raises ConversionError, naming it, for another model, an
    unknown pre-tokenizer or normalizer.
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
        return _checked(path, _with_the_rest(path, tokenizer, table, keys))
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
        keys = wordpiece_keys(path, tokenizer, table)
        return _checked(path, _with_the_rest(path, tokenizer, table, keys))
    merges = [_merge_text(path, merge) for merge in list_of(path, model, "merges")]
    if model.get("byte_fallback"):
        keys = _sentencepiece_keys(tokenizer, table, merges, model.get("unk_token"))
    else:
        table.mark_special(special_names(path.parent))
        family = _family(path, tokenizer, bool(model.get("ignore_merges")))
        keys = byte_level_keys(table, path, merges, family.name)
    return _with_the_rest(path, tokenizer, table, keys)


def _with_the_rest(
    path: Path, tokenizer: Mapping[str, Any], table: TokenTable, keys: dict[str, Any]
) -> dict[str, Any]:
    """The keys of a vocabulary, and those of special tokens and what is carried."""
    keys |= _surroundings(tokenizer, table.texts)
    keys |= special_keys(path.parent, table.texts)
    return {**keys, **carried(tokenizer, table.texts)}


def _checked(path: Path, keys: dict[str, Any]) -> dict[str, Any]:
    """The keys, if this library's tokenizer can run what they carry."""
    if CARRIED not in keys:
        raise ConversionError(
            f"{path}: added tokens that the model has no embeddings for make this tokenizer one "
            "that gguf can't hold; give a tokenizer.json without them"
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
            raise FormatError(path, None, f"{str(entry)[:80]} is no added token")
        yield AddedToken(text, number, bool(entry.get("special")))


def _merge_text(path: Path, merge: object) -> str:
    if isinstance(merge, str):
        return merge
    if isinstance(merge, list) and len(merge) == 2 and all(isinstance(m, str) for m in merge):
        return " ".join(merge)
    raise ConversionError(f"{path}: {str(merge)[:80]} is not a merge of two tokens")


def _surroundings(tokenizer: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    """Which tokens are put before and after a text."""
    found: dict[str, Any] = {"tokenizer.ggml.add_bos_token": False}
    for name, text in zip(("bos", "eos"), surrounding_tokens(tokenizer), strict=True):
        if text in tokens:
            found[f"tokenizer.ggml.add_{name}_token"] = True
            found[f"tokenizer.ggml.{name}_token_id"] = tokens.index(str(text))
    return found


# ---------------------------------------------------------------- SentencePiece


def _sentencepiece_keys(
    tokenizer: Mapping[str, Any], table: TokenTable, merges: Sequence[str], unknown: object
) -> dict[str, Any]:
    """A SentencePiece BPE in tokenizer.json's clothes: ranks of merges stand for scores."""
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
    return found


def _is_byte_token(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _prepends_space(tokenizer: Mapping[str, Any]) -> bool:
    steps = flat_steps(tokenizer.get("normalizer")) + flat_steps(tokenizer.get("pre_tokenizer"))
    return any(
        step.get("type") == "Prepend"
        or (step.get("type") == "Metaspace" and _metaspace_prepends(step))
        for step in steps
    )


def _metaspace_prepends(step: Mapping[str, Any]) -> bool:
    if "prepend_scheme" in step:
        return bool(step["prepend_scheme"] != "never")
    return bool(step.get("add_prefix_space", True))


# ------------------------------------------------------------------- byte-level


def _family(
    path: Path, tokenizer: Mapping[str, Any], ignore_merges: bool
) -> pretokenizers.PreTokenizer:
    """The family that cuts text as this tokenizer does."""
    normalizer = flat_steps(tokenizer.get("normalizer"))
    if any(step.get("type") != "NFC" for step in normalizer):
        raise ConversionError(f"{path}: the normalizer ({said(normalizer)}) is not supported")
    pre_tokenizer, nfc = tokenizer.get("pre_tokenizer"), bool(normalizer)
    family = pretokenizers.recognised(pre_tokenizer, nfc=nfc, ignore_merges=ignore_merges)
    if family is None:
        steps = said(flat_steps(pre_tokenizer))
        raise ConversionError(f"{path}: the pre-tokenizer ({steps}) is of no known family")
    for what, theirs, ours in (
        ("NFC", nfc, family.nfc),
        ("ignore_merges", ignore_merges, family.ignore_merges),
    ):
        if theirs != ours:
            warnings.warn(
                f"{path}: {what} is {theirs}, but {ours} for the file's pre-tokenizer "
                f"{family.name!r}, so that some texts get other ids",
                ConversionWarning,
                stacklevel=2,
            )
    return family
