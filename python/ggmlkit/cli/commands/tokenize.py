"""`ggmlkit tokenize`: the token ids of a text."""

from __future__ import annotations

import argparse
import json

from ggmlkit.cli import llama_cpp, options

EXAMPLES = """\
  ggmlkit tokenize -m model.gguf "Hello, world"
  ggmlkit tokenize -m model.gguf --json -- "-5 degrees\""""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("text", metavar="TEXT", help="Text to tokenize.")
    options.add_model(parser)
    options.add_switch(parser, "special", "Leave out the tokens that every text starts with.")
    parser.add_argument(
        "--parse-special",
        action="store_true",
        help="Take the names of control tokens in TEXT for these tokens.",
    )
    options.add_json(parser, "Print the ids alone, as JSON.")
    llama_cpp.add_tokenize_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tokens."""
    from ggmlkit.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_file(args.model)
    ids = tokenizer.encode(args.text, add_special=args.special, parse_special=args.parse_special)
    if args.json:
        print(json.dumps(ids))
        return 0
    for token in ids:
        print(f"{token:>8}  {_shown(tokenizer.token_bytes(token, special=True))}")
    return 0


def _shown(piece: bytes) -> str:
    try:
        return repr(piece.decode())
    except UnicodeDecodeError:
        return repr(piece)
