"""The usual steps of a tokenizer.json done here, as the library's own describe every word apart.

What each makes of a single letter is asked of the library, so that they agree on all of Unicode.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

_SPACE = "▁"
# Unicode's White_Space, which str.split() goes beyond.
_WHITE_SPACE = re.compile("[\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")

Cut = Callable[[str, bool], list[str]]


def metaspace_cut(pre_tokenizer: object) -> Cut | None:
    """What cuts text as this Metaspace does, alone or after WhitespaceSplit; None for others.

    It takes a text, and whether nothing comes before it.
    """
    steps = [pre_tokenizer]
    if isinstance(pre_tokenizer, dict) and pre_tokenizer.get("type") == "Sequence":
        steps = pre_tokenizer.get("pretokenizers") or []
    kinds = [step.get("type") if isinstance(step, dict) else None for step in steps]
    last: Any = steps[-1] if steps else None
    if kinds not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        return None
    scheme = last.get("prepend_scheme") or ("always" if last.get("add_prefix_space") else "never")
    if last.get("replacement") != _SPACE or last.get("split") is False:
        return None
    if len(kinds) == 1:
        return lambda text, first: _words(text, scheme == "always" or (first and scheme == "first"))
    if scheme == "first":
        return None

    def cut(text: str, _first: bool) -> list[str]:
        found: list[str] = []
        for part in _WHITE_SPACE.split(text):
            found += _words(part, scheme == "always")
        return found

    return cut


def _words(text: str, prepend: bool) -> list[str]:
    """Words that begin with ▁, but for the first one."""
    if not text:
        return []
    start, *rest = text.replace(" ", _SPACE).split(_SPACE)
    words = [_SPACE + word for word in rest]
    if start:
        words.insert(0, _SPACE + start if prepend else start)
    return words


class ReorderedError(Exception):
    """A letter whose place depends on those beside it."""


class BertLetters(dict[int, str]):
    """For ``str.translate``: each letter as BERT's normalizer leaves it, spaces between words.

    Raises ReorderedError for a mark that the normalizer may put elsewhere.
    """

    def __init__(self, normalize: Callable[[str], str], cut: Callable[[str], list[str]]) -> None:
        """``normalize`` and ``cut`` are the library's, for a text."""
        super().__init__()
        self._normalize = normalize
        self._cut = cut

    def __missing__(self, number: int) -> str:
        letter = chr(number)
        if unicodedata.combining(letter) and unicodedata.category(letter) != "Mn":
            raise ReorderedError
        found = self[number] = "".join(map(self._spaced, self._normalize(letter)))
        return found

    def _spaced(self, letter: str) -> str:
        words = self._cut(f"a{letter}a")
        return letter if len(words) == 1 else " " if len(words) == 2 else f" {letter} "


def is_bert(normalizer: object, pre_tokenizer: object) -> bool:
    """Whether these are the two steps whose work on a text is their work on its letters."""
    return [
        step.get("type") if isinstance(step, Mapping) else None
        for step in (normalizer, pre_tokenizer)
    ] == ["BertNormalizer", "BertPreTokenizer"]
