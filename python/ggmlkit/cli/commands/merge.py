"""`ggmlkit merge`: a gguf model in parts becomes one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument


def merge(
    part: Annotated[Path, Argument(metavar="PART1", help="Any part; the others lie beside it.")],
    out: Annotated[Path, Argument(metavar="OUT", help="gguf file to write.")],
) -> None:
    """Write a gguf model in parts as one file."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.io.gguf.split import merge_files

    with progress("merge") as report:
        merge_files(part, out, progress=report)
