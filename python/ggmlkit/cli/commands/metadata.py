"""`ggmlkit metadata`: one key of a gguf file, shown, set or removed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ggmlkit.cli import options, values
from ggmlkit.cli.usage import UsageError

EXAMPLES = """\
  ggmlkit metadata get model.gguf llama.context_length
  ggmlkit metadata set model.gguf general.name "My model"
  ggmlkit metadata set model.gguf my.numbers "[1, 2]" --type 'u8[]'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_choice(
        parser, "action", choices=("get", "set", "rm"), help="Print, set or remove the key."
    )
    parser.add_argument(
        "path", type=values.path, metavar="FILE", help="gguf file; get reads any other too."
    )
    parser.add_argument("key", metavar="KEY", help="Such as general.name.")
    parser.add_argument("value", nargs="?", metavar="VALUE", help="To set; an array as JSON.")
    parser.add_argument(
        "--type",
        metavar="TYPE",
        help="Type of VALUE: u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, bool, str; u32[] and "
        "so on for arrays. Default: the key's, or what VALUE looks like.",
    )
    parser.add_argument(
        "--rewrite",
        action="store_true",
        help="Write a new file even where the header could be changed in place; an interruption "
        "then leaves the old file.",
    )


def run(args: argparse.Namespace) -> int:
    """Print, set or remove the key."""
    if (args.action == "set") != (args.value is not None):
        raise UsageError("set needs a VALUE, get and rm take none")
    if args.type is not None and args.action != "set":
        raise UsageError("--type is for set")
    if args.rewrite and args.action == "get":
        raise UsageError("--rewrite is for set and rm")
    if args.action == "get":
        _print(args.path, args.key)
    elif args.action == "rm":
        _remove(args.path, args.key, not args.rewrite)
    else:
        _set(args.path, args.key, args.value, args.type, not args.rewrite)
    return 0


def _print(path: Path, key: str) -> None:
    from ggmlkit import io
    from ggmlkit.cli.metadata_text import plain, printable
    from ggmlkit.io.gguf.metadata_edit import missing_key

    with io.open(path) as file:
        # A file that is part of a model has keys of its own.
        found = next((part for part in file.parts if part.path == path), file).metadata
        if key not in found:
            raise missing_key(path, key)
        value = plain(found[key])
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # A program gets the value as it is, a terminal nothing that would command it.
    print(printable(text, kept="\n\t") if sys.stdout.isatty() else text)


def _remove(path: Path, key: str, in_place: bool) -> None:
    from ggmlkit.cli.progress import progress
    from ggmlkit.io.gguf.metadata_edit import edit_metadata

    with progress("rewrite") as report:
        edit_metadata(path, {}, [key], in_place=in_place, progress=report)


def _set(path: Path, key: str, text: str, type: str | None, in_place: bool) -> None:
    from ggmlkit.io.gguf.metadata_edit import edit_metadata
    from ggmlkit.io.gguf.reader import GgufFile
    from ggmlkit.io.gguf.values import parsed_value, value_type

    try:
        kind = None if type is None else value_type(type)
        if kind is None:
            with GgufFile(path) as file:
                kind = file.value_types.get(key)
        value = parsed_value(text, kind)
    except ValueError as error:
        raise UsageError(str(error)) from None
    from ggmlkit.cli.progress import progress

    kinds = None if kind is None else {key: kind}
    with progress("rewrite") as report:
        edit_metadata(path, {key: value}, value_types=kinds, in_place=in_place, progress=report)
