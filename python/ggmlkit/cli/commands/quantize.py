"""`ggmlkit quantize`: rewrite a model file in another type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option, UsageError
from ggmlkit.cli.metadata_text import print_notes
from ggmlkit.cli.options import Container, Threads


def quantize(
    source: Annotated[Path, Argument(metavar="IN", help="Model file of any generation.")],
    out: Annotated[Path, Argument(metavar="OUT", help="File to write: .gguf, or .bin.")],
    type: Annotated[
        str, Argument(metavar="TYPE", help="Such as q4_0, q8_0, q4_K_M, iq4_xs, f16; in any case.")
    ],
    pure: Annotated[bool, Option("--pure", help="Give every matrix the same type.")] = False,
    tensor_types: Annotated[
        list[str] | None,
        Option(
            "--tensor-type",
            metavar="PATTERN=TYPE",
            help="For matrices in whose names the pattern is found; may be repeated.",
        ),
    ] = None,
    imatrix: Annotated[
        Path | None, Option("--imatrix", help="File that says how much each column counts.")
    ] = None,
    container: Container = None,
    threads: Threads = None,
) -> None:
    """Rewrite a model file with its matrices in TYPE."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.io.imatrix import read_imatrix
    from ggmlkit.quantization import quantize_file

    own = [_pair(text) for text in tensor_types or []]
    importance = None if imatrix is None else read_imatrix(imatrix).importance
    with progress(f"quantize to {type}") as report:
        notes = quantize_file(
            source,
            out,
            type,
            pure=pure,
            tensor_types=own,
            importance=importance,
            container=container,
            threads=threads,
            progress=report,
        )
    print_notes(notes)


def _pair(text: str) -> tuple[str, str]:
    pattern, equals, kind = text.rpartition("=")
    if not (pattern and equals and kind):
        raise UsageError(f"--tensor-type {text!r} is no PATTERN=TYPE")
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--tensor-type {pattern!r} is no regular expression: {error}") from None
    return pattern, kind
