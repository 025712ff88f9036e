"""How text is cut before a model looks for its pieces, out of a tokenizer.json.

Byte-level vocabularies have their own way: see pretokenizers.py.
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

# The words of a stretch of text. The second argument: whether it begins the whole text. An empty
# word comes first where the beginning was left out, so that no other word takes its place.
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
    """The function of a ``pre_tokenizer`` entry.

    Raises ModelError for a step that is not known, or that could take forever.
    """
    found = flat_steps(pre_tokenizer)
    if len(found) > _MOST_STEPS:
        raise ModelError(f"the pre-tokenizer has {len(found)} steps, more than {_MOST_STEPS}")
    steps = [_step(step) for step in found]

    def words(text: str, first: bool) -> list[str]:
        found = [text]
        for step in steps:
            cut: list[str] = []
            for number, word in enumerate(found):
                cut += step(word, first and number == 0) if word else [""]
            found = cut
        return [word for word in found if word]

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
        sought = text if isinstance(text, str) else simple_regex(pattern.get("Regex"))
        if sought:
            return _of_library("Split", sought, behavior, bool(step.get("invert")))
    raise ModelError(f"the pre-tokenizer {str(dict(step))[:80]} is not supported")


def _metaspace(step: Mapping[str, Any]) -> Words:
    mark = step.get("replacement", SPACE)
    if not isinstance(mark, str) or len(mark) != 1:
        raise ModelError(f"the pre-tokenizer puts {str(mark)[:80]!r} for a space, no character")
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
