"""Finds the family of a BPE vocabulary by name, or by a file's pre-tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ggmlkit.errors import ModelError
from ggmlkit.text.splitting import expressions
from ggmlkit.text.splitting.family_table import (
    ADDS_SEP,
    ALIASES,
    FAMILIES,
    KEEPS_SPACES,
    MASK_STRIPS_LEFT,
    NO_BOS,
    PreTokenizer,
    sequence,
)
from ggmlkit.text.tokenizer_steps import flat_steps

__all__ = [
    "FAMILIES",
    "GPT2",
    "PreTokenizer",
    "by_name",
    "expressions_of",
    "known_names",
    "quick",
    "recognised",
]

GPT2 = expressions.GPT2
_BY_NAME = {family.name: family for family in FAMILIES}


def known_names() -> list[str]:
    """All names that ``by_name`` knows, sorted."""
    return sorted({*_BY_NAME, *ALIASES})


def by_name(name: str) -> PreTokenizer:
    """The family that ``tokenizer.ggml.pre`` names, with the settings of this name.

    Raises ModelError if the name is not known.
    """
    family = _BY_NAME.get(ALIASES.get(name, name))
    if family is None:
        raise ModelError(
            f"pre-tokenizer {name[:80]!r} is not known, only {', '.join(known_names())}"
        )
    return replace(
        family,
        adds_bos=family.adds_bos and name not in NO_BOS,
        adds_sep=name in ADDS_SEP,
        cleans_spaces=name not in KEEPS_SPACES,
        left_stripping=("<mask>",) if name in MASK_STRIPS_LEFT else (),
    )


def expressions_of(steps: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The expressions that the steps split text with, in order; None if they do anything else."""
    meaning = _meaning(sequence(tuple(map(dict, steps))))
    if any(kind not in ("split", "bytes") for kind, _ in meaning):
        return None
    return [quick(expression) for kind, expression in meaning if kind == "split"]


def recognised(
    pre_tokenizer: Mapping[str, Any] | None, *, nfc: bool, ignore_merges: bool
) -> PreTokenizer | None:
    """The family that has these steps; None if no family has them.

    Of several, the one that agrees best with ``nfc`` and ``ignore_merges``; then the one whose
    steps are written the same.
    """
    steps, meaning = flat_steps(pre_tokenizer), _meaning(pre_tokenizer)
    equivalent = [
        family
        for family in FAMILIES
        if family.byte_letters
        and meaning in (_meaning(family.json), _meaning(sequence(family.steps)))
    ]
    return max(
        equivalent,
        key=lambda family: (
            (family.nfc == nfc) + (family.ignore_merges == ignore_merges),
            flat_steps(family.json) == steps,
        ),
        default=None,
    )


def quick(regex: str) -> str:
    """The expression, or one that gives the same words in time linear in the text.

    It is for a tokenizer.json's own expressions; those of unknown families are returned unchanged.
    """
    return expressions.LINEAR.get(regex, regex)


def _meaning(pre_tokenizer: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What the steps do, in normal form: without fields that don't affect ids."""
    meaning: list[tuple[str, str]] = []
    for step in flat_steps(pre_tokenizer):
        if step.get("type") == "ByteLevel":
            if step.get("add_prefix_space"):
                meaning.append(("prefix", ""))
            if step.get("use_regex", True):
                meaning.append(("split", expressions.GPT2))
            meaning.append(("bytes", ""))
        else:
            regex = _expression(step)
            meaning.append(("other", repr(step)) if regex is None else ("split", regex))
    return meaning


def _expression(step: Mapping[str, Any]) -> str | None:
    """The expression whose matches become words in a step; None if it does something else."""
    kind, behavior = step.get("type"), step.get("behavior")
    if kind == "Digits":
        return expressions.DIGIT if step.get("individual_digits") else expressions.NUMBER
    if kind == "Punctuation":
        punctuation = {
            "Contiguous": expressions.PUNCTUATION,
            "Isolated": expressions.ONE_PUNCTUATION,
        }
        return punctuation.get(str(behavior))
    pattern = step.get("pattern") if kind == "Split" else None
    regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
    plain = behavior == "Isolated" and not step.get("invert")
    # Qwen's and Llama's files also use inverted "Removed", which gives the same words.
    inverted = behavior == "Removed" and step.get("invert")
    return _plain(regex) if isinstance(regex, str) and (plain or inverted) else None


# Parts of expressions that files write in several ways, and the usual form with the same matches.
_SPELLINGS = (
    ("\r", r"\r"),
    ("\n", r"\n"),
    ("\t", r"\t"),
    ("'(?i:[sdmt]|ll|ve|re)", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"),
    (r"[^\r\n\p{L}\p{N}]?+\p{L}+|", r"[^\r\n\p{L}\p{N}]?\p{L}+|"),
    (r"|\p{N}{1}|", r"|\p{N}|"),
    (r" ?[^\s\p{L}\p{N}]++[\r\n]*|", r" ?[^\s\p{L}\p{N}]+[\r\n]*|"),
    (r"|\s*[\r\n]|", r"|\s*[\r\n]+|"),
    (r"|\s+(?!\S)|\s", r"|\s+(?!\S)|\s+"),
    (r"\s++", r"\s+"),
)


def _plain(regex: str) -> str:
    """The expression in the usual form of the several forms in files."""
    for other, usual in _SPELLINGS:
        regex = regex.replace(other, usual)
    return regex
