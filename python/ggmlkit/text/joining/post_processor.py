"""The tokens that a tokenizer.json's post-processor adds around a text, as the library does it.

A post-processor works on a list of encodings, at first only the text's. A template turns each of
its parts into an encoding; the two fixed kinds wrap every encoding; a sequence applies its members
one after another. Two templates in a row are legal, though strange, and give the library's result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOST_TOKENS = 1000  # around a text; files have one or two
_TEXT = None  # stands for the text's own tokens
_Encoding = list[int | None]


def tokens_around(
    post_processor: object,
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Ids that are added before and after a single text.

    Args:
        post_processor: the entry of a tokenizer.json; None if there is none.

    Returns None if the library would refuse it, if a kind is not known, and if the text does not
    occur exactly once in the result.
    """
    try:
        encodings = _processed(post_processor)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    ids = [number for encoding in encodings for number in encoding]
    if ids.count(_TEXT) != 1:
        return None
    cut = ids.index(_TEXT)
    before, after = ids[:cut], ids[cut + 1 :]
    return tuple(n for n in before if n is not None), tuple(n for n in after if n is not None)


def _processed(post_processor: object) -> list[_Encoding]:
    encodings: list[_Encoding] = [[_TEXT]]
    left = [post_processor]
    while left:
        step = left.pop()
        if step is None:
            continue
        if not isinstance(step, Mapping):
            raise TypeError("no post-processor")
        kind = step["type"]
        if kind == "Sequence":
            left += reversed(_list(step["processors"]))
        elif kind == "TemplateProcessing":
            encodings = _by_template(step, encodings)
        elif kind in ("BertProcessing", "RobertaProcessing"):
            encodings = _wrapped(step, encodings)
        elif kind != "ByteLevel":
            raise ValueError("a kind that is not known")
        if sum(map(len, encodings)) > _MOST_TOKENS:
            raise ValueError("too many tokens")
    return encodings


def _by_template(step: Mapping[str, Any], encodings: list[_Encoding]) -> list[_Encoding]:
    """Applies template ``single`` to one encoding, ``pair`` to two; the library refuses more."""
    parts = _list(step[{1: "single", 2: "pair"}[len(encodings)]])
    if len(parts) > _MOST_TOKENS:
        raise ValueError("too many parts")
    made, size = [], 0
    for part in parts:
        (name, what), *more = part.items()
        if more or name not in ("Sequence", "SpecialToken"):
            raise ValueError("no part of a template")
        if name == "Sequence":
            encoding = encodings[{"A": 0, "B": 1}[what["id"]]]
        else:
            encoding = [_id(number) for number in _list(step["special_tokens"][what["id"]]["ids"])]
        size += len(encoding)
        if size > _MOST_TOKENS:
            raise ValueError("too many tokens")
        made.append(encoding)
    return made


def _wrapped(step: Mapping[str, Any], encodings: list[_Encoding]) -> list[_Encoding]:
    """``cls``, first encoding, ``sep``; each other has ``sep`` after it (RoBERTa: also before)."""
    (_, first), (_, last) = step["cls"], step["sep"]
    cls, sep = _id(first), _id(last)
    between = [sep] if step["type"] == "RobertaProcessing" else []
    starts = [[cls]] + [between] * (len(encodings) - 1)
    return [[*start, *encoding, sep] for start, encoding in zip(starts, encodings, strict=True)]


def _id(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**32:
        raise ValueError("no token id")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value
