"""Which family of BPE vocabularies a name, or a file's pre-tokenizer, stands for."""

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
    """Every name that ``by_name`` takes, in order."""
    return sorted({*_BY_NAME, *ALIASES})


def by_name(name: str) -> PreTokenizer:
    """The family that ``tokenizer.ggml.pre`` names, with what goes with the name.

    Raises ModelError for a name that is not known.
    """
    family = _BY_NAME.get(ALIASES.get(name, name))
    if family is None:
        raise ModelError(
            f"pre-tokenizer {name[:80]!r} is none of those known: {', '.join(known_names())}"
        )
    return replace(
        family,
        adds_bos=family.adds_bos and name not in NO_BOS,
        adds_sep=name in ADDS_SEP,
        cleans_spaces=name not in KEEPS_SPACES,
        left_stripping=("<mask>",) if name in MASK_STRIPS_LEFT else (),
    )


def expressions_of(steps: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The expressions that steps cut text by, in order; None if they do anything else."""
    meaning = _meaning(sequence(tuple(map(dict, steps))))
    if any(kind not in ("split", "bytes") for kind, _ in meaning):
        return None
    return [quick(expression) for kind, expression in meaning if kind == "split"]


def recognised(
    pre_tokenizer: Mapping[str, Any] | None, *, nfc: bool, ignore_merges: bool
) -> PreTokenizer | None:
    """The family whose steps these are; None if they are nobody's.

    Of several, the one that is like ``nfc`` and ``ignore_merges`` as well, or most nearly so; then
    the one that is spelled alike.
    """
    steps, meaning = flat_steps(pre_tokenizer), _meaning(pre_tokenizer)
    alike = [
        family
        for family in FAMILIES
        if family.byte_letters
        and meaning in (_meaning(family.json), _meaning(sequence(family.steps)))
    ]
    return max(
        alike,
        key=lambda family: (
            (family.nfc == nfc) + (family.ignore_merges == ignore_merges),
            flat_steps(family.json) == steps,
        ),
        default=None,
    )


def quick(regex: str) -> str:
    """The expression, or one that makes the same words in time linear in the text.

    For splitting by a tokenizer.json's own expressions; those of no known family come back as they
    are.
    """
    return expressions.LINEAR.get(regex, regex)


def _meaning(pre_tokenizer: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What the steps do, without the fields that change no ids; known splits said plainly."""
    said: list[tuple[str, str]] = []
    for step in flat_steps(pre_tokenizer):
        if step.get("type") == "ByteLevel":
            if step.get("add_prefix_space"):
                said.append(("prefix", ""))
            if step.get("use_regex", True):
                said.append(("split", expressions.GPT2))
            said.append(("bytes", ""))
        else:
            regex = _expression(step)
            said.append(("other", repr(step)) if regex is None else ("split", regex))
    return said


def _expression(step: Mapping[str, Any]) -> str | None:
    """The expression whose matches a step makes words of; None if it does something else."""
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
    # Qwen and Llama files cut by "Removed" inverted too; the matched words are the same.
    inverted = behavior == "Removed" and step.get("invert")
    return _plain(regex) if isinstance(regex, str) and (plain or inverted) else None


# Parts of expressions that files write in several ways, with the same matches.
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
    """The expression in one of the spellings that files have for it."""
    for other, usual in _SPELLINGS:
        regex = regex.replace(other, usual)
    return regex
