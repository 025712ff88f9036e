"""`ggmlkit tokenize`: the token ids of a text."""

from __future__ import annotations

import json
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option
from ggmlkit.cli.options import Json, Model


def tokenize(
    model: Model,
    text: Annotated[str, Argument(metavar="TEXT", help="Text to split.")],
    special: Annotated[
        bool, Option("--special/--no-special", help="Add the tokens every text starts with.")
    ] = True,
    parse_special: Annotated[
        bool, Option("--parse-special", help="Read names of control tokens as such.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the tokens of a text: id and piece, one a line."""
    from ggmlkit.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_file(model)
    ids = tokenizer.encode(text, add_special=special, parse_special=parse_special)
    if as_json:
        print(json.dumps(ids))
        return
    for token in ids:
        print(f"{token:>8}  {_shown(tokenizer.token_bytes(token, special=True))}")


def _shown(piece: bytes) -> str:
    try:
        return repr(piece.decode())
    except UnicodeDecodeError:
        return repr(piece)
