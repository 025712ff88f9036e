"""Unigram and WordPiece as a tokenizer.json has them, from gguf keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ggmlkit.text.encoding.unigram import all_bytes, scores_of
from ggmlkit.text.plain_pieces import SPACE
from ggmlkit.text.special_ids import special_id
from ggmlkit.text.vocab import TokenType, Vocab, flag

_USUAL_PREFIX = "##"
_IN_MODEL = (TokenType.NORMAL, TokenType.UNKNOWN, TokenType.BYTE)


def unigram_settings(vocab: Vocab, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A Unigram model without its pieces."""
    return {
        "type": "Unigram",
        "unk_id": special_id(vocab, metadata, "unknown"),
        "byte_fallback": bool(all_bytes(vocab)),
    }


def scored_pieces(
    vocab: Vocab, metadata: Mapping[str, Any], texts: Sequence[str]
) -> list[list[Any]]:
    """The pieces of a Unigram by id, up to the last that was not added, and their scores."""
    kinds = vocab.types.tolist()
    count = max((n + 1 for n, kind in enumerate(kinds) if kind in _IN_MODEL), default=0)
    scores = scores_of(vocab, metadata).tolist()
    return [[text, score] for text, score in zip(texts[:count], scores, strict=False)]


def wordpiece_parts(vocab: Vocab, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A WordPiece model without its pieces, and the steps around it."""
    lowercase = flag(metadata, "normalizer.lowercase", True)
    unknown = special_id(vocab, metadata, "unknown")
    return {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": flag(metadata, "normalizer.strip_accents", lowercase),
            "lowercase": lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": _USUAL_PREFIX, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]" if unknown is None else str(vocab.pieces[unknown]),
            "continuing_subword_prefix": _USUAL_PREFIX,
            "max_input_chars_per_word": 100,
        },
    }


def word_pieces(vocab: Vocab, texts: Sequence[str], model: Mapping[str, Any]) -> dict[str, int]:
    """The pieces of a WordPiece as a tokenizer.json writes them."""
    prefix = str(model.get("continuing_subword_prefix", _USUAL_PREFIX))
    found: dict[str, int] = {}
    for number, (text, kind) in enumerate(zip(texts, vocab.types.tolist(), strict=True)):
        if kind == TokenType.NORMAL:
            text = text[len(SPACE) :] if text.startswith(SPACE) else prefix + text
        if kind != TokenType.UNUSED:
            found.setdefault(text, number)
    return found
