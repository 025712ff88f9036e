"""`ggmlkit export`: a model file becomes a checkpoint folder."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option
from ggmlkit.cli.options import Threads


class Format(str, Enum):
    """Layouts of a checkpoint folder."""

    hf = "hf"
    meta = "meta"


class Dtype(str, Enum):
    """Number types of a checkpoint."""

    f32 = "f32"
    f16 = "f16"
    bf16 = "bf16"


def export(
    source: Annotated[Path, Argument(metavar="FILE", help="Model file of any generation.")],
    out: Annotated[Path, Argument(metavar="DIR", help="Folder to write.")],
    format: Annotated[
        Format, Option("--format", help="Hugging Face's layout, or Meta's .pth files.")
    ] = Format.hf,
    dtype: Annotated[Dtype, Option("--dtype", help="Type of the values.")] = Dtype.f32,
    threads: Threads = None,
) -> None:
    """Write a model file out as a checkpoint folder."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.export import export as export_folder

    with progress(f"export to {format.value}") as report:
        export_folder(
            source,
            out,
            format=format.value,
            dtype=dtype.value,
            threads=threads,
            progress=report,
        )
