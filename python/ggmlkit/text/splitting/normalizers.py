"""The normalizers of a tokenizer.json, applied to text before it is encoded."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ggmlkit.errors import ModelError
from ggmlkit.text.tokenizer_steps import flat_steps
from ggmlkit.text.tokenizers_library import tokenizers_library

Normalize = Callable[[str], str]
_CHARSMAP = "the vocabulary's precompiled_charsmap"
_LONGEST = 64  # characters that replace one; without a limit, a file could make text grow endlessly
_MOST_STEPS = 50
_MOST_GROWTH = 64  # the factor by which all steps together can make a text longer
# One character or set of characters, repeated a number of times: matches take linear time.
_SIMPLE_REGEX = re.compile(
    r"(\\[stnrd]|\[\^?[^\\\[\]^&]+\]|[^\\()\[\]{}*+?|.^$])([+]|\{\d{1,2},?\d{0,2}\})?"
)
# Matches the spaces around a text; this library writes it for SentencePiece's
# remove_extra_whitespaces.
TRIMMED = r"\A +|[ ▁]+\z"
# Types that the library implements and that take no settings.
_PLAIN = ("NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents")


def normalizer_of(normalizer: object) -> Normalize | None:
    """A ``normalizer`` entry as a function; None if it does nothing.

    Raises ModelError if a step is not known, or if the entry is damaged or hostile.
    """
    if normalizer is not None and not isinstance(normalizer, Mapping):
        raise ModelError(f"the normalizer is {str(normalizer)[:80]!r}, not an object")
    entries = flat_steps(normalizer)
    if len(entries) > _MOST_STEPS:
        raise ModelError(f"the normalizer has {len(entries)} steps, more than {_MOST_STEPS}")
    steps = [_step(entry) for entry in entries]
    if not steps:
        return None
    growth = math.prod(map(_growth, entries))
    if growth > _MOST_GROWTH:
        raise ModelError(
            f"the normalizer makes text up to {growth:.0f} times as long,"
            f" more than {_MOST_GROWTH} times"
        )

    def normalize(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return normalize


def precompiled(charsmap: bytes) -> Normalize:
    """SentencePiece's compiled normalizer; ``charsmap`` is a table's size, the table, and texts."""
    # The library allocates memory for the table before it checks that the table exists.
    size, left = int.from_bytes(charsmap[:4], "little"), len(charsmap) - 4
    if size > left:
        raise ModelError(f"{_CHARSMAP} has a table of {size} bytes, but only {max(left, 0)} follow")
    if not _stays_inside(charsmap, size):
        raise ModelError(f"{_CHARSMAP} is damaged: its table points outside")
    longest = _longest_text(charsmap)
    if longest > _LONGEST:
        raise ModelError(f"{_CHARSMAP} has a text of {longest} characters, more than {_LONGEST}")
    try:
        return _of_library("Precompiled", charsmap)
    except Exception as error:  # the library raises no other class
        raise ModelError(f"{_CHARSMAP} is damaged: {error}") from None


def _stays_inside(charsmap: bytes, size: int) -> bool:
    """Whether all links of the table stay inside it, and all its results begin a character.

    The library doesn't check this; it writes to standard error if it fails.
    """
    if size == 0 or size % 4:
        return False
    units, texts = np.frombuffer(charsmap, "<u4", size // 4, 4), charsmap[4 + size :]
    nodes = np.flatnonzero(units >> 31 == 0)
    unit = units[nodes]
    children = nodes ^ (unit >> 10 << ((unit >> 6) & 8))  # the first child; others differ in 8 bits
    if ((children | 0xFF) >= len(units)).any():
        return False
    values = units[children[(unit >> 8) & 1 == 1]] & 0x7FFFFFFF
    if (values >= len(texts)).any():
        return False
    return bool((np.frombuffer(texts, np.uint8)[values] >> 6 != 2).all())


def _longest_text(charsmap: bytes) -> int:
    """Length, in characters, of the longest text that a compiled normalizer inserts."""
    texts = charsmap[4 + int.from_bytes(charsmap[:4], "little") :].split(b"\0")
    return max(len(text.decode("utf-8", "replace")) for text in texts)


def _growth(step: Mapping[str, Any]) -> float:
    """The factor by which a known step can make a text longer; Prepend is not counted.

    Unicode's normalization forms are not counted either: normalized text stays as it is.
    """
    if step.get("type") == "Precompiled":
        return max(1, _longest_text(_decoded(step)))
    if step.get("type") == "Replace":
        return max(1, len(step["content"]) / len(step["pattern"].get("String") or " "))
    return 1


def _decoded(step: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(step.get("precompiled_charsmap") or b"", validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ModelError(f"{_CHARSMAP} is not base64") from None


def _step(step: Mapping[str, Any]) -> Normalize:
    kind = step.get("type")
    if kind in _PLAIN:
        return _of_library(str(kind))
    if kind == "Prepend":
        prefix = _short(step.get("prepend"))
        return lambda text: prefix + text if text else text
    if kind == "Replace":
        return _replacing(step.get("pattern"), _short(step.get("content")))
    if kind == "Strip":
        left, right = bool(step.get("strip_left", True)), bool(step.get("strip_right", True))
        return _of_library("Strip", left, right)
    if kind == "Precompiled":
        return precompiled(_decoded(step))
    if kind == "BertNormalizer":
        settings = {
            name: bool(step.get(name))
            for name in ("clean_text", "handle_chinese_chars", "lowercase")
        }
        accents = step.get("strip_accents")
        strip = None if accents is None else bool(accents)
        return _of_library("BertNormalizer", strip_accents=strip, **settings)
    raise ModelError(f"the normalizer {str(kind)[:80]!r} is not known")


def simple_regex(pattern: object) -> Any:
    """The library's regular expression, if its matches take linear time; else None.

    An arbitrary expression of a file could take endless time.
    """
    if isinstance(pattern, str) and len(pattern) <= _LONGEST and _SIMPLE_REGEX.fullmatch(pattern):
        try:
            return tokenizers_library().Regex(pattern)
        except Exception as error:  # the library raises no other class
            raise ModelError(f"the regular expression {pattern!r} is not valid: {error}") from None
    return None


def _replacing(pattern: object, content: str) -> Normalize:
    pattern = pattern if isinstance(pattern, Mapping) else {}
    plain, regex = pattern.get("String"), pattern.get("Regex")
    if isinstance(plain, str) and plain:
        old = plain
        return lambda text: text.replace(old, content)
    if regex == TRIMMED and not content:
        return lambda text: text.lstrip(" ").rstrip(" ▁")
    expression = simple_regex(regex)
    if expression is not None:
        return _of_library("Replace", expression, content)
    raise ModelError(f"the normalizer replaces {str(pattern)[:80]}, which is not supported")


def _short(text: object) -> str:
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ModelError(
            f"the normalizer inserts {str(text)[:80]!r}, not a text of up to {_LONGEST} characters"
        )
    return text


def _of_library(kind: str, *arguments: Any, **settings: Any) -> Normalize:
    normalizer = getattr(tokenizers_library().normalizers, kind)(*arguments, **settings)

    def normalize(text: str) -> str:
        try:
            return str(normalizer.normalize_str(text))
        except BaseException as error:
            # With a damaged table, the library panics; a PanicException is not an Exception.
            if type(error).__name__ != "PanicException":
                raise
            raise ModelError(f"{_CHARSMAP} is damaged: {error}") from None

    return normalize
