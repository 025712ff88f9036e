"""How text is cut before a vocabulary with ``▁`` for spaces encodes it, out of a tokenizer.json."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ggmlkit.errors import ModelError
from ggmlkit.model.carried import metaspace_scheme
from ggmlkit.model.plain_pieces import SPACE
from ggmlkit.model.tokenizer_steps import flat_steps
from ggmlkit.model.tokenizers_library import tokenizers_library

# The words of a stretch of text. The second argument: whether it begins the whole text.
Words = Callable[[str, bool], list[str]]
_MOST_STEPS = 10  # each pair could double the number of words
_BEHAVIORS = {
    "Isolated": "isolated",
    "Removed": "removed",
    "MergedWithPrevious": "merged_with_previous",
    "MergedWithNext": "merged_with_next",
    "Contiguous": "contiguous",
}


def words_of(pre_tokenizer: object) -> Words:
    """The function of a ``pre_tokenizer`` entry: Metaspace, splits at plain texts, digits.

    Raises ModelError for one that is not known.
    """
    found = flat_steps(pre_tokenizer)
    if len(found) > _MOST_STEPS:
        raise ModelError(f"the pre-tokenizer has {len(found)} steps, more than {_MOST_STEPS}")
    steps = [_step(step) for step in found]

    def words(text: str, first: bool) -> list[str]:
        found = [text] if text else []
        for step in steps:
            cut: list[str] = []
            for number, word in enumerate(found):
                cut += step(word, first and number == 0)
            found = cut
        return found

    return words


def _step(step: Mapping[str, Any]) -> Words:
    kind = step.get("type")
    if kind == "Metaspace":
        return _metaspace(step)
    if kind == "Digits":
        return _of_library("Digits", bool(step.get("individual_digits")))
    if kind == "Split":
        pattern, behavior = step.get("pattern"), _BEHAVIORS.get(str(step.get("behavior")))
        text = pattern.get("String") if isinstance(pattern, Mapping) else None
        if isinstance(text, str) and text and behavior is not None:
            return _of_library("Split", text, behavior, bool(step.get("invert")))
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
    return lambda text, _: [word for word, _ in step.pre_tokenize_str(text)]
