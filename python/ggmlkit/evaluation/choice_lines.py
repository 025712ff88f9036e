"""Questions with endings to choose from: lines of JSON in HellaSwag's shape."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ggmlkit.arguments import shown
from ggmlkit.errors import FormatError

_BRACKETED = re.compile(r"\[.*?\]")


@dataclass(frozen=True)
class Question:
    """A context and its possible endings.

    Attributes:
        context: what comes before.
        endings: texts that may follow it; one alone is to be found word by word (cloze).
        label: the place of the right one; 0 where there is one alone.
    """

    context: str
    endings: tuple[str, ...]
    label: int


def read_questions(path: str | os.PathLike[str], most: int | None = None) -> list[Question]:
    """The questions of a file, at most so many; blank lines are left out.

    A line is an object with ``ctx`` (or ``ctx_a`` and ``ctx_b``), ``endings`` and ``label``, a
    number or its text. With an ``activity_label``, as the data set's own lines have it, context and
    endings are cleaned as lm-eval does it for its task ``hellaswag``.

    Raises:
        FormatError: a line is not such an object, or the file is not UTF-8 or has no lines.
        OSError: it can't be opened.
    """
    found: list[Question] = []
    for number, offset, line in _lines(Path(path)):
        if most is not None and len(found) >= most:
            break
        try:
            found.append(_question(json.loads(line)))
        except (ValueError, RecursionError) as error:
            reason = "it is not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            raise FormatError(path, offset, f"line {number}: {reason}") from None
    if not found:
        raise FormatError(path, 0, "the file has no questions")
    return found


def _lines(path: Path) -> Iterator[tuple[int, int, str]]:
    """Number, offset and text of each line that is not blank."""
    offset = 0
    with path.open("rb") as file:
        for number, data in enumerate(file, 1):
            try:
                line = data.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise FormatError(
                    path, offset + error.start, f"line {number}: it is not UTF-8"
                ) from None
            if line.strip():
                yield number, offset, line
            offset += len(data)


def _question(value: Any) -> Question:
    """The question of a line.

    Raises:
        ValueError: it has another shape; the message says what is wrong.
    """
    if not isinstance(value, dict):
        raise ValueError(f"it must be an object, not {shown(value)}")
    endings = value.get("endings")
    if not isinstance(endings, list) or not endings or not all(map(_is_text, endings)):
        raise ValueError("'endings' must be a list of texts, none of them empty")
    label = _label(value, len(endings))
    context = _context(value)
    if "activity_label" in value:
        activity = value["activity_label"]
        if not isinstance(activity, str):
            raise ValueError(f"'activity_label' must be a text, not {shown(activity)}")
        context = _cleaned(f"{activity}: {context}")
        endings = [_cleaned(ending) for ending in endings]
        if not all(endings):
            raise ValueError("'endings' has one that is empty without its brackets")
    return Question(context, tuple(endings), label)


def _context(value: Mapping[str, Any]) -> str:
    if "ctx_a" in value or "ctx_b" in value:
        first, second = value.get("ctx_a", ""), value.get("ctx_b", "")
        if isinstance(first, str) and isinstance(second, str):
            return f"{first} {second.capitalize()}"
    elif _is_text(value.get("ctx")):
        return str(value["ctx"])
    raise ValueError("'ctx' must be a text that is not empty")


def _label(value: Mapping[str, Any], endings: int) -> int:
    label = value.get("label", 0 if endings == 1 else None)
    if isinstance(label, str) and label.isascii() and label.isdecimal() and len(label) < 10:
        label = int(label)
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < endings:
        raise ValueError(
            f"'label' must be the place of one of {endings} endings, not {shown(label)}"
        )
    return label


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _cleaned(text: str) -> str:
    """Without what the data set keeps of the web pages that it is from."""
    text = text.strip().replace(" [title]", ". ")
    return _BRACKETED.sub("", text).replace("  ", " ")
