"""The pre-tokenizers of a tokenizer.json, which split text into words.

Those of byte-level vocabularies are in families.py and words.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ggmlkit.errors import ModelError
from ggmlkit.text.plain_pieces import SPACE
from ggmlkit.text.splitting.normalizers import simple_regex
from ggmlkit.text.tokenizer_json import metaspace_scheme
from ggmlkit.text.tokenizer_steps import flat_steps
from ggmlkit.text.tokenizers_library import tokenizers_library
from ggmlkit.text.white_space import WHITE_SPACE

# Returns the words of a piece of text. Second argument: whether it begins the text. If the
# beginning was left out, an empty word comes first, so that no other word counts as the first.
Words = Callable[[str, bool], list[str]]
_MOST_STEPS = 10  # each pair could double the number of words
_BEHAVIORS = {
    "Isolated": "isolated",
    "Removed": "removed",
    "MergedWithPrevious": "merged_with_previous",
    "MergedWithNext": "merged_with_next",
    "Contiguous": "contiguous",
}
_WHITE_SPACE = re.compile(f"[{WHITE_SPACE}]+")


def words_of(pre_tokenizer: object) -> Words:
    """A ``pre_tokenizer`` entry as a function.

    Raises ModelError if a step is not known, or could take endless time.
    """
    entries = flat_steps(pre_tokenizer)
    if len(entries) > _MOST_STEPS:
        raise ModelError(f"the pre-tokenizer has {len(entries)} steps, more than {_MOST_STEPS}")
    steps = [_step(entry) for entry in entries]

    def words(text: str, first: bool) -> list[str]:
        parts = [text]
        for step in steps:
            smaller: list[str] = []
            for number, part in enumerate(parts):
                smaller += step(part, first and number == 0) if part else [""]
            parts = smaller
        return [part for part in parts if part]

    return words


def _step(step: Mapping[str, Any]) -> Words:
    kind = step.get("type")
    if kind == "Metaspace":
        return _metaspace(step)
    if kind == "WhitespaceSplit":
        return lambda text, _: _WHITE_SPACE.split(text)
    if kind == "BertPreTokenizer":
        return _of_library("BertPreTokenizer")
    if kind == "Digits":
        return _of_library("Digits", bool(step.get("individual_digits")))
    behavior = _BEHAVIORS.get(str(step.get("behavior", "Isolated")))
    if kind == "Punctuation" and behavior is not None:
        return _of_library("Punctuation", behavior)
    if kind == "Split" and behavior is not None:
        pattern = step.get("pattern")
        pattern = pattern if isinstance(pattern, Mapping) else {}
        text = pattern.get("String")
        separator = text if isinstance(text, str) else simple_regex(pattern.get("Regex"))
        if separator:
            return _of_library("Split", separator, behavior, bool(step.get("invert")))
    raise ModelError(f"the pre-tokenizer {str(dict(step))[:80]} is not supported")


def _metaspace(step: Mapping[str, Any]) -> Words:
    mark = step.get("replacement", SPACE)
    if not isinstance(mark, str) or len(mark) != 1:
        raise ModelError(
            f"the pre-tokenizer replaces a space by {str(mark)[:80]!r}, not by one character"
        )
    scheme, split = metaspace_scheme(step), step.get("split", True)
    word = re.compile(f"{re.escape(mark)}?[^{re.escape(mark)}]+|{re.escape(mark)}")

    def words(text: str, first: bool) -> list[str]:
        text = text.replace(" ", mark)
        if (scheme == "always" or (scheme == "first" and first)) and not text.startswith(mark):
            text = mark + text
        return word.findall(text) if split else [text]

    return words


def _of_library(kind: str, *arguments: Any) -> Words:
    step = getattr(tokenizers_library().pre_tokenizers, kind)(*arguments)

    def words(text: str, _first: bool) -> list[str]:
        found = step.pre_tokenize_str(text)
        left_out = not found or found[0][1][0] > 0
        return [*([""] if left_out else []), *(word for word, _ in found)]

    return words
