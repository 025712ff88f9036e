"""`ggmlkit convert`: a checkpoint or model file becomes a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option
from ggmlkit.cli.options import Container, Threads, Type


def convert(
    source: Annotated[
        Path,
        Argument(
            metavar="SRC", help="Folder (Meta or Hugging Face) or model file, or a LoRA adapter."
        ),
    ],
    out: Annotated[Path, Argument(metavar="OUT", help="File to write: .gguf, or .bin.")],
    type: Type = None,
    container: Container = None,
    base: Annotated[
        Path | None,
        Option("--base", help="Model that an adapter is for, or its config.json."),
    ] = None,
    threads: Threads = None,
) -> None:
    """Turn a checkpoint into a model file, with its matrices in f16 or --type."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion import convert as convert_model

    with progress("convert" if type is None else f"convert to {type}") as report:
        convert_model(
            source,
            out,
            type=type,
            container=container,
            base=base,
            threads=threads,
            progress=report,
        )
