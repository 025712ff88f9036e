"""BERT's normalizer and pre-tokenizer, letter by letter.

The tokenizers library describes every word apart, which takes long. What both steps make of a text
is what they make of its letters, but for marks that the normalizer puts in another order. For a
single letter the library is asked, so that both agree on all of Unicode.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

from ggmlkit.text.splitting.normalizers import Normalize, normalizer_of
from ggmlkit.text.splitting.steps import Words, words_of
from ggmlkit.text.tokenizer_json import Carried


def bert_words(carried: Carried) -> Callable[[str], list[str]] | None:
    """What cuts text that is not normalized; None for a tokenizer.json with other steps.

    Nor is it for one with tokens that are found in normalized text.
    """
    steps = [carried.json.get(part) for part in ("normalizer", "pre_tokenizer")]
    kinds = [step.get("type") if isinstance(step, Mapping) else None for step in steps]
    if kinds != ["BertNormalizer", "BertPreTokenizer"]:
        return None
    normalize, cut = normalizer_of(steps[0]), words_of(steps[1])
    if normalize is None or any(token.normalized for token in carried.added):
        return None
    letters, whole = _Letters(normalize, cut), normalize

    def words(text: str) -> list[str]:
        try:
            return text.translate(letters).split(" ")
        except _ReorderedError:
            return cut(whole(text), False)

    return words


class _ReorderedError(Exception):
    """A letter whose place depends on those beside it."""


class _Letters(dict[int, str]):
    """For ``str.translate``: each letter as the normalizer leaves it, spaces between words.

    Raises _ReorderedError for a mark that the normalizer may put elsewhere.
    """

    def __init__(self, normalize: Normalize, cut: Words) -> None:
        super().__init__()
        self._normalize = normalize
        self._cut = cut

    def __missing__(self, number: int) -> str:
        letter = chr(number)
        if unicodedata.combining(letter) and unicodedata.category(letter) != "Mn":
            raise _ReorderedError
        found = self[number] = "".join(map(self._spaced, self._normalize(letter)))
        return found

    def _spaced(self, letter: str) -> str:
        words = self._cut(f"a{letter}a", False)
        return letter if len(words) == 1 else " " if len(words) == 2 else f" {letter} "
