"""`ggmlkit export`: a model file becomes a checkpoint."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option
from ggmlkit.cli.options import Threads, Vocab
from ggmlkit.cli.sizes import bytes_of


class Format(str, Enum):
    """Layouts of a checkpoint."""

    hf = "hf"
    meta = "meta"
    npz = "npz"


class Dtype(str, Enum):
    """Number types of a checkpoint."""

    f32 = "f32"
    f16 = "f16"
    bf16 = "bf16"


def export(
    source: Annotated[
        Path,
        Argument(metavar="FILE", help="Model file of any age, or hf:OWNER/NAME[:FILE]."),
    ],
    out: Annotated[Path, Argument(metavar="OUT", help="Folder to write; for npz a file.")],
    format: Annotated[
        Format,
        Option("--format", help="Hugging Face's folder, Meta's .pth, or numpy's archive."),
    ] = Format.hf,
    dtype: Annotated[
        Dtype | None,
        Option("--dtype", help="Of the values; if unset, as they are, or f32 if quantized."),
    ] = None,
    shard_size: Annotated[
        str,
        Option("--shard-size", metavar="SIZE", help="Most tensor data in a safetensors file."),
    ] = "5G",
    vocab: Vocab = None,
    threads: Threads = None,
) -> None:
    """Write a model file out as a checkpoint for other programs."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.export import export as export_model

    size = bytes_of(shard_size, "--shard-size")
    with progress(f"export to {format.value}") as report:
        export_model(
            source,
            out,
            format=format.value,
            type=None if dtype is None else dtype.value,
            shard_size=size,
            vocab=vocab,
            threads=threads,
            progress=report,
        )
