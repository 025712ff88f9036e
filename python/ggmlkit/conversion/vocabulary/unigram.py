"""A tokenizer.json's Unigram in gguf keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.conversion.json_file import list_of
from ggmlkit.conversion.vocabulary.normalizers import sentencepiece_keys
from ggmlkit.conversion.vocabulary.sentencepiece_model import BYTE, NORMAL, UNKNOWN, UNUSED
from ggmlkit.conversion.vocabulary.token_table import TokenTable
from ggmlkit.errors import FormatError
from ggmlkit.text.tokenizer_steps import flat_steps
from ggmlkit.text.vocab import byte_value
from ggmlkit.text.vocab_keys import SCORES

UNUSED_SCORE = -10000.0  # so low that no program finds them in a text


class UnigramTable:
    """The pieces of a Unigram, entered in a table, and their scores.

    Raises FormatError for an entry that is not a piece with a score, or an invalid unk_id.
    """

    def __init__(self, path: Path, tokenizer: Mapping[str, Any], table: TokenTable) -> None:
        self._tokenizer = tokenizer
        self._model = tokenizer["model"]
        self._table = table
        self._pieces: list[str] = []
        self._scores: list[float] = []
        for number, entry in enumerate(list_of(path, self._model, "vocab")):
            piece, score = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
            if not isinstance(piece, str) or not isinstance(score, (int, float)):
                raise FormatError(path, None, f"vocab entry {number} is not a piece with a score")
            byte = self._model.get("byte_fallback") and byte_value(piece) is not None
            table.put(piece, number, BYTE if byte else NORMAL)
            self._pieces.append(piece)
            self._scores.append(float(score))
            if not math.isfinite(self._scores[-1]):
                raise FormatError(path, None, f"vocab entry {number} has the score {score}")
        self._unknown = self._model.get("unk_id")
        if self._unknown is not None:
            if type(self._unknown) is not int or not 0 <= self._unknown < len(self._pieces):
                shown = str(self._unknown)[:80]
                raise FormatError(path, None, f"unk_id {shown} is not a token's id")
            table.put(self._pieces[self._unknown], self._unknown, UNKNOWN)

    def keys(self) -> dict[str, Any]:
        """The keys of a ``t5`` vocabulary; the table must have all added tokens by then."""
        count = len(self._scores)
        rest = [UNUSED_SCORE if kind == UNUSED else 0.0 for kind in self._table.kinds[count:]]
        found: dict[str, Any] = {
            "tokenizer.ggml.model": "t5",
            "tokenizer.ggml.pre": "default",
            "tokenizer.ggml.tokens": self._table.texts,
            "tokenizer.ggml.scores": [*self._scores, *rest],
            "tokenizer.ggml.token_type": self._table.kinds,
            "tokenizer.ggml.remove_extra_whitespaces": _collapses(self._tokenizer),
        }
        exact = np.array(self._scores, np.float64)
        if not np.array_equal(exact, exact.astype(np.float32).astype(np.float64)):
            found[SCORES] = exact
        if self._unknown is not None:
            found["tokenizer.ggml.unknown_token_id"] = self._unknown
        _, expressed = sentencepiece_keys(self._tokenizer)
        return {**expressed, **found}


def _collapses(tokenizer: Mapping[str, Any]) -> bool:
    """Whether several spaces count as one, for programs that read only gguf's own keys."""
    cuts = flat_steps(tokenizer.get("pre_tokenizer"))
    replaced = [s.get("pattern") for s in flat_steps(tokenizer.get("normalizer"))]
    return any(s.get("type") == "WhitespaceSplit" for s in cuts) or any(
        pattern in ({"Regex": " {2,}"}, {"Regex": " +"}) for pattern in replaced
    )
