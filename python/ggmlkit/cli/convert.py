"""`ggmlkit convert`: a checkpoint or model file becomes a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument
from ggmlkit.cli.options import Container, Threads, Type


def convert(
    source: Annotated[
        Path,
        Argument(metavar="SRC", help="Folder (Meta or Hugging Face) or model file."),
    ],
    out: Annotated[Path, Argument(metavar="OUT", help="File to write: .gguf, or .bin.")],
    type: Type = "f16",
    container: Container = None,
    threads: Threads = None,
) -> None:
    """Turn a checkpoint into a model file with its matrices in a type of your choice."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion import convert as convert_model

    with progress(f"convert to {type}") as report:
        convert_model(source, out, type=type, container=container, threads=threads, progress=report)
