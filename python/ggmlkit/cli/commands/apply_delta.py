"""`ggmlkit apply-delta`: the model that a delta makes of its base."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument
from ggmlkit.cli.options import Container, Threads, Type


def apply_delta(
    base: Annotated[Path, Argument(metavar="BASE", help="Hugging Face folder.")],
    delta: Annotated[
        Path, Argument(metavar="DELTA", help="Hugging Face folder with what to add to it.")
    ],
    out: Annotated[
        Path, Argument(metavar="OUT", help="Folder to write, or a file: .gguf, or .bin.")
    ],
    type: Type = None,
    container: Container = None,
    threads: Threads = None,
) -> None:
    """Add delta weights, such as Vicuna's, to the model they were made for."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.delta import apply_delta as apply_weights

    with progress("apply-delta") as report:
        apply_weights(
            base, delta, out, type=type, container=container, threads=threads, progress=report
        )
