"""BERT's normalizer and pre-tokenizer, applied character by character.

The tokenizers library makes an object for every word, which is slow. Both steps treat each
character independently, except marks that the normalizer reorders. The result for a single
character comes from the library, so that both agree on all of Unicode.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

from ggmlkit.text.splitting.normalizers import Normalize, normalizer_of
from ggmlkit.text.splitting.steps import Words, words_of
from ggmlkit.text.tokenizer_json import Carried


def bert_words(carried: Carried) -> Callable[[str], list[str]] | None:
    """A function that normalizes text and splits it into words; None for other kinds of steps.

    None also if there are tokens that are found in normalized text.
    """
    steps = [carried.json.get(part) for part in ("normalizer", "pre_tokenizer")]
    kinds = [step.get("type") if isinstance(step, Mapping) else None for step in steps]
    if kinds != ["BertNormalizer", "BertPreTokenizer"]:
        return None
    normalize, split = normalizer_of(steps[0]), words_of(steps[1])
    if normalize is None or any(token.normalized for token in carried.added):
        return None
    letters, normalize_whole = _Letters(normalize, split), normalize

    def words(text: str) -> list[str]:
        try:
            return text.translate(letters).split(" ")
        except _ReorderedError:
            return split(normalize_whole(text), False)

    return words


class _ReorderedError(Exception):
    """A character whose position depends on its neighbours."""


class _Letters(dict[int, str]):
    """For ``str.translate``: each character after normalization, with spaces between words.

    Raises _ReorderedError for a mark that the normalizer can move.
    """

    def __init__(self, normalize: Normalize, split: Words) -> None:
        super().__init__()
        self._normalize = normalize
        self._split = split

    def __missing__(self, number: int) -> str:
        letter = chr(number)
        if unicodedata.combining(letter) and unicodedata.category(letter) != "Mn":
            raise _ReorderedError
        spaced = self[number] = "".join(map(self._spaced, self._normalize(letter)))
        return spaced

    def _spaced(self, letter: str) -> str:
        words = self._split(f"a{letter}a", False)
        return letter if len(words) == 1 else " " if len(words) == 2 else f" {letter} "
