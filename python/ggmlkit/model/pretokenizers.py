"""How each family of byte-level BPE cuts text into words, as data.

The steps are written as a ``tokenizer.json`` has them, so that one table builds tokenizers, writes
files and recognises files of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggmlkit.errors import ModelError

# The expressions are those of the families' own tokenizer.json files; that of "default" is what
# llama.cpp applies to a file that names no pre-tokenizer.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")


def _split(regex: str) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": regex},
        "behavior": "Isolated",
        "invert": False,
    }


def _byte_level(use_regex: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


_DIGITS = {"type": "Digits", "individual_digits": True}


@dataclass(frozen=True)
class PreTokenizer:
    """One family: the steps in order, the unicode form, and whether whole words skip merging."""

    name: str
    steps: tuple[dict[str, Any], ...]
    nfc: bool = False
    ignore_merges: bool = False
    adds_bos: bool = False

    @property
    def json(self) -> dict[str, Any]:
        """The ``pre_tokenizer`` entry of a tokenizer.json."""
        if len(self.steps) == 1:
            return self.steps[0]
        return {"type": "Sequence", "pretokenizers": list(self.steps)}


_FAMILIES = (
    PreTokenizer("gpt-2", (_byte_level(True),)),
    PreTokenizer("smollm", (_DIGITS, _byte_level(True))),
    PreTokenizer(
        "llama-bpe",
        (_split(_LLAMA3), _byte_level(False)),
        ignore_merges=True,
        adds_bos=True,
    ),
    PreTokenizer("qwen2", (_split(_QWEN2), _byte_level(False)), nfc=True),
    PreTokenizer("default", (*map(_split, _DEFAULT), _byte_level(False))),
)
_BY_NAME = {family.name: family for family in _FAMILIES}
_ALIASES = {
    "gpt2": "gpt-2",
    "phi-2": "gpt-2",
    "starcoder": "smollm",
    "refact": "smollm",
    "command-r": "smollm",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "deepseek-r1-qwen": "qwen2",
}


def by_name(name: str) -> PreTokenizer:
    """The family that ``tokenizer.ggml.pre`` names; ModelError for one not known."""
    family = _BY_NAME.get(_ALIASES.get(name, name))
    if family is None:
        known = ", ".join(sorted({*_BY_NAME, *_ALIASES}))
        raise ModelError(f"pre-tokenizer {name!r} is none of those known: {known}")
    return family


def recognised(pre_tokenizer: Mapping[str, Any] | None) -> PreTokenizer | None:
    """The family whose steps these are; None if they are nobody's."""
    meaning = _meaning(pre_tokenizer)
    return next((family for family in _FAMILIES if _meaning(family.json) == meaning), None)


def is_byte_level(pre_tokenizer: Mapping[str, Any] | None) -> bool:
    """Whether any step maps bytes to letters, as byte-level BPE does."""
    return any(step.get("type") == "ByteLevel" for step in _steps(pre_tokenizer))


def _steps(pre_tokenizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    steps: list[Mapping[str, Any]] = []
    left: list[Any] = [pre_tokenizer]  # no recursion: files nest as they like
    while left:
        step = left.pop()
        if not isinstance(step, Mapping):
            continue
        parts = step.get("pretokenizers")
        if step.get("type") == "Sequence" and isinstance(parts, list):
            left += reversed(parts)
        else:
            steps.append(step)
    return steps


def _meaning(pre_tokenizer: Mapping[str, Any] | None) -> list[tuple[Any, ...]]:
    """What the steps do, without the fields that change no ids; a gpt-2 split said plainly."""
    said: list[tuple[Any, ...]] = []
    for step in _steps(pre_tokenizer):
        kind = step.get("type")
        if kind == "ByteLevel":
            if step.get("add_prefix_space"):
                said.append(("prefix",))
            if step.get("use_regex", True):
                said.append(("split", _GPT2))
            said.append(("bytes",))
        elif kind == "Digits":
            said.append(("digits", bool(step.get("individual_digits"))))
        elif kind == "Split":
            pattern = step.get("pattern")
            regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
            plain = step.get("behavior") == "Isolated" and not step.get("invert")
            # Qwen and Llama files cut by "Removed" inverted too; the matched words are the same.
            inverted = step.get("behavior") == "Removed" and step.get("invert")
            said.append(("split", regex) if plain or inverted else ("other", repr(step)))
        else:
            said.append(("other", repr(step)))
    return said
