"""A tokenizer.json's WordPiece in gguf keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ggmlkit.conversion.vocabulary.sentencepiece_model import NORMAL
from ggmlkit.conversion.vocabulary.token_table import TokenTable
from ggmlkit.text.plain_pieces import SPACE
from ggmlkit.text.special_ids import USUAL
from ggmlkit.text.tokenizer_steps import flat_steps

_SPECIAL = ("cls", "seperator", "mask")  # gguf's names


def wordpiece_keys(tokenizer: Mapping[str, Any], table: TokenTable) -> dict[str, Any]:
    """The keys of a ``bert`` vocabulary; the table must have all tokens as the file writes them.

    In the file, pieces that continue a word begin with ##; in gguf, pieces that begin one have ▁.
    """
    model = tokenizer["model"]
    prefix = model.get("continuing_subword_prefix", "##")
    number_of = {text: number for number, text in reversed(list(enumerate(table.texts)))}
    for number, kind in enumerate(table.kinds):
        if kind == NORMAL:
            table.texts[number] = _with_space(table.texts[number], str(prefix))
    found: dict[str, Any] = {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": table.texts,
        "tokenizer.ggml.token_type": table.kinds,
        **_normalizer_keys(tokenizer),
    }
    unknown = model.get("unk_token", "[UNK]")
    if unknown in number_of:
        found["tokenizer.ggml.unknown_token_id"] = number_of[unknown]
    for name in _SPECIAL:
        text = USUAL["bert"][name]
        if text in number_of:
            found[f"tokenizer.ggml.{name}_token_id"] = number_of[text]
    return found


def _with_space(text: str, prefix: str) -> str:
    if prefix and text.startswith(prefix):
        return text[len(prefix) :]
    return SPACE + text


def _normalizer_keys(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """What BERT's normalizer does to letters, for programs that read only gguf's own keys."""
    for step in flat_steps(tokenizer.get("normalizer")):
        if step.get("type") == "BertNormalizer":
            lowercase = bool(step.get("lowercase", True))
            strips = step.get("strip_accents")
            return {
                "tokenizer.ggml.normalizer.lowercase": lowercase,
                "tokenizer.ggml.normalizer.strip_accents": (
                    lowercase if strips is None else bool(strips)
                ),
            }
    return {}
