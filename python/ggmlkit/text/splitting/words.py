"""Splits the text of byte-level vocabularies into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ggmlkit import _core
from ggmlkit.text.byte_letters import spelled
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.tokenizers_library import tokenizers_library


def splitter(steps: Sequence[Mapping[str, Any]]) -> _core.WordSplitter | LibrarySplitter:
    """A splitter for the steps of a tokenizer.json's pre-tokenizer.

    It is the compiled one if that supports all expressions; else the tokenizers library's.
    """
    expressions = pretokenizers.expressions_of(steps)
    if expressions is not None:
        try:
            return _core.WordSplitter(expressions)
        except ValueError:
            pass  # an expression that the compiled splitter doesn't support
    return LibrarySplitter(steps)


class LibrarySplitter:
    """The tokenizers library's steps, without the one that converts bytes to letters."""

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """From steps of a known family."""
        library = tokenizers_library()
        splits = [_library_step(library, step) for step in steps]
        kept = [split for split in splits if split is not None]
        self._splits = library.pre_tokenizers.Sequence(kept)

    def words(self, text: str, letters: bool) -> list[str]:
        """The words, as text or in GPT-2's letters for bytes."""
        words = [word for word, _ in self._splits.pre_tokenize_str(text)]
        return [spelled(word.encode()) for word in words] if letters else words


def _library_step(library: Any, step: Mapping[str, Any]) -> Any:
    steps, kind = library.pre_tokenizers, step["type"]
    if kind == "ByteLevel":
        gpt2 = library.Regex(pretokenizers.GPT2)
        return steps.Split(gpt2, "isolated") if step["use_regex"] else None
    if kind == "Digits":
        return steps.Digits(step["individual_digits"])
    if kind == "Punctuation":
        return steps.Punctuation(step["behavior"].lower())
    pattern = library.Regex(pretokenizers.quick(step["pattern"]["Regex"]))
    return steps.Split(pattern, step["behavior"].lower(), step["invert"])
