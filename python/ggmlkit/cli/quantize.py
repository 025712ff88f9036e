"""`ggmlkit quantize`: rewrite a model file in another type."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option
from ggmlkit.cli.options import Container, Threads


def quantize(
    source: Annotated[Path, Argument(metavar="IN", help="Model file of any generation.")],
    out: Annotated[Path, Argument(metavar="OUT", help="File to write: .gguf, or .bin.")],
    type: Annotated[
        str, Argument(metavar="TYPE", help="q4_0, q4_1, q5_0, q5_1, q8_0, f16, bf16 or f32.")
    ],
    pure: Annotated[bool, Option("--pure", help="Give every matrix the same type.")] = False,
    container: Container = None,
    threads: Threads = None,
) -> None:
    """Rewrite a model file with its matrices in TYPE."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.quantization import quantize_file

    with progress(f"quantize to {type}") as report:
        quantize_file(
            source, out, type, pure=pure, container=container, threads=threads, progress=report
        )
