"""`ggmlkit split`: one gguf file becomes several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option, UsageError
from ggmlkit.cli.sizes import bytes_of


def split(
    source: Annotated[Path, Argument(metavar="IN", help="gguf file.")],
    prefix: Annotated[
        str, Argument(metavar="OUT_PREFIX", help="Path of the parts up to -00001-of-0000N.gguf.")
    ],
    max_size: Annotated[
        str | None,
        Option(
            "--max-size", metavar="SIZE", help="Most tensor data in a part, such as 500M or 2G."
        ),
    ] = None,
    max_tensors: Annotated[
        int | None, Option("--max-tensors", min=1, help="Most tensors in a part.")
    ] = None,
) -> None:
    """Cut a gguf file into parts, which open as one again; give one of both limits."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.io.gguf.split import split_file

    if (max_size is None) == (max_tensors is None):
        raise UsageError("Give either '--max-size' or '--max-tensors'.")
    size = None if max_size is None else bytes_of(max_size, "--max-size")
    with progress("split") as report:
        parts = split_file(source, prefix, max_size=size, max_tensors=max_tensors, progress=report)
    for part in parts:
        print(part)
