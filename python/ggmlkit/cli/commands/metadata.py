"""`ggmlkit metadata`: one key of a gguf file, shown, set or removed."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option, UsageError


class Action(str, Enum):
    """What to do with the key."""

    get = "get"
    set = "set"
    rm = "rm"


def metadata(
    action: Annotated[Action, Argument(metavar="get|set|rm", help="Print, set or remove.")],
    path: Annotated[Path, Argument(metavar="FILE", help="gguf file; get reads any other too.")],
    key: Annotated[str, Argument(metavar="KEY", help="Such as general.name.")],
    value: Annotated[
        str | None,
        Argument(metavar="[VALUE]", help="To set; arrays as JSON, -- before a negative number."),
    ] = None,
    type: Annotated[
        str | None,
        Option(
            "--type",
            metavar="TYPE",
            help="u8 … i64, f32, f64, bool, str, u32[] …; as it was, or looks, if unset.",
        ),
    ] = None,
    rewrite: Annotated[
        bool, Option("--rewrite", help="Write the whole file anew, which is safe at any moment.")
    ] = False,
) -> None:
    """Read or change a file's metadata, in place where the new header fits before the data."""
    if (action is Action.set) != (value is not None):
        raise UsageError("'set' needs a VALUE, the others take none.")
    if type is not None and action is not Action.set:
        raise UsageError("'--type' belongs to 'set'.")
    if value is None:
        _print(path, key) if action is Action.get else _remove(path, key, not rewrite)
    else:
        _set(path, key, value, type, not rewrite)


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
        raise UsageError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    from ggmlkit.cli.progress import progress

    kinds = None if kind is None else {key: kind}
    with progress("rewrite") as report:
        edit_metadata(path, {key: value}, value_types=kinds, in_place=in_place, progress=report)
