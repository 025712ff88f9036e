"""How a byte-level vocabulary's text is cut into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ggmlkit import _core
from ggmlkit.text.byte_letters import spelled
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.tokenizers_library import tokenizers_library


def splitter(steps: Sequence[Mapping[str, Any]]) -> _core.WordSplitter | LibrarySplitter:
    """What cuts text by the steps of a pre-tokenizer, as a tokenizer.json has them.

    The compiled one, where it reads all their expressions; else the tokenizers library.
    """
    expressions = pretokenizers.expressions_of(steps)
    if expressions is not None:
        try:
            return _core.WordSplitter(expressions)
        except ValueError:
            pass  # beyond the language that the compiled one reads
    return LibrarySplitter(steps)


class LibrarySplitter:
    """The tokenizers library's steps, but for the one that turns bytes into letters."""

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """From steps that a family of this library has."""
        library = tokenizers_library()
        cuts = [_library_step(library, step) for step in steps]
        self._cuts = library.pre_tokenizers.Sequence([cut for cut in cuts if cut is not None])

    def words(self, text: str, letters: bool) -> list[str]:
        """The words, in GPT-2's letters for bytes or as they are."""
        found = [word for word, _ in self._cuts.pre_tokenize_str(text)]
        return [spelled(word.encode()) for word in found] if letters else found


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
