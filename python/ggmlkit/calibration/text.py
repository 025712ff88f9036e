"""The text that a model is measured on, in chunks of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ggmlkit.arguments import counted, whole
from ggmlkit.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sequence import TokenIds

Text: TypeAlias = "str | TokenIds"


def text_of(path: Path) -> str:
    """The text of a file, without the line break at its end.

    Raises:
        FormatError: it is not UTF-8.
        OSError: it can't be read.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise FormatError(path, error.start, "the text is not UTF-8") from None
    return text.removesuffix("\n")


def token_chunks(
    model: Model,
    text: Text,
    size: int,
    *,
    skip: int = 0,
    most: int | None = None,
    parse_special: bool = False,
) -> NDArray[np.int32]:
    """Consecutive chunks of a text's tokens; what is left at its end is not used.

    Where the model's texts begin with a token of their own, each chunk's first token is replaced
    by it, as llama.cpp does.

    Args:
        model: whose vocabulary is used.
        text: a text, or ids of tokens.
        size: tokens of a chunk.
        skip: chunks to leave out at the beginning.
        most: chunks to return at most.
        parse_special: whether names of control tokens in the text stand for these tokens.

    Returns:
        int32 ``(chunks, size)``.

    Raises:
        ArgumentError: the text is empty or too short for one chunk, or a number is too small.
    """
    size = whole(size, "chunk_size", least=1)
    skip = whole(skip, "skip", least=0)
    if most is not None:
        most = whole(most, "chunks", least=1)
    if isinstance(text, str):
        if not text:
            raise ArgumentError("the text is empty")
        ids = model.ids(model.tokenizer.encode(text, parse_special=parse_special))
    else:
        ids = model.ids(text)
    chunks = len(ids) // size
    if chunks <= skip:
        needed = f" after the {skip} to skip" if skip else ""
        raise ArgumentError(
            f"the text has {counted(len(ids), 'token')}, too few for one chunk of {size}{needed}; "
            "give more text, or make chunks smaller"
        )
    found = ids[: chunks * size].reshape(chunks, size)[skip:][:most].copy()
    bos = model.tokenizer.bos_id if isinstance(text, str) and model.tokenizer.add_bos else None
    if bos is not None:
        found[:, 0] = bos
    return found
