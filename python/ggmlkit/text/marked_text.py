"""Text of tokens with the marks that a parser looks for, also where control tokens are marks.

`Tokenizer.stream` leaves the texts of control tokens out. Some vocabularies have ``<think>`` or
``[TOOL_CALLS]`` among them; others have them as plain text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ggmlkit.text.detokenizer import Detokenizer
from ggmlkit.text.tokenizer import Tokenizer


def marks_that_are_tokens(tokenizer: Tokenizer, marks: Iterable[str]) -> dict[int, str]:
    """The marks that are control tokens, by id."""
    found = {tokenizer.token_id(mark): mark for mark in marks}
    return {id: mark for id, mark in found.items() if id is not None and tokenizer.is_control(id)}


def marked_stream(tokenizer: Tokenizer, marks: Iterable[str]) -> Detokenizer:
    """`Tokenizer.stream`, with the texts of these marks."""
    shown = {id: mark.encode() for id, mark in marks_that_are_tokens(tokenizer, marks).items()}
    return Detokenizer(lambda id: shown.get(id) or tokenizer.token_bytes(id))


def marked_text(text: str, ids: Sequence[int], tokenizer: Tokenizer, marks: Iterable[str]) -> str:
    """The text of generated tokens, with the texts of these marks.

    Args:
        text: of the tokens without marks, which a stop string may have cut.
        ids: of the tokens, without an ending one.
        tokenizer: the model's.
        marks: to show.
    """
    marks = tuple(marks)
    shown = marks_that_are_tokens(tokenizer, marks)
    if shown.keys().isdisjoint(ids):
        return text
    stream = marked_stream(tokenizer, marks)
    parts: list[str] = []
    left = len(text)
    for id in ids:
        piece = stream.push(id)
        if id not in shown:
            piece = piece[:left]
            left -= len(piece)
        parts.append(piece)
    return "".join([*parts, stream.flush()[:left]])
