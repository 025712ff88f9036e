"""Plans a model file and writes it, a few tensors at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ggmlkit import io
from ggmlkit.conversion.open_source import open_source
from ggmlkit.conversion.plan import ConversionPlan, conversion_plan
from ggmlkit.io.base import ByteOrder, ModelFile
from ggmlkit.types import TensorType


def write_model(
    plan: ConversionPlan, *, threads: int | None = None, progress: io.Progress | None = None
) -> None:
    """Write a planned model file, replaced only when it is complete."""
    io.save(
        plan.out,
        plan.targets,
        plan.metadata,
        container=plan.container,
        version=plan.version,
        byte_order=plan.byte_order,
        value_types=plan.value_types,
        threads=threads,
        progress=progress,
    )


@contextmanager
def planned(
    src: str | os.PathLike[str] | ModelFile,
    out: str | os.PathLike[str],
    *,
    type: str | TensorType = "f16",
    pure: bool = False,
    container: str | None = None,
    version: int | None = None,
    byte_order: ByteOrder = "little",
    vocab: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Iterator[ConversionPlan]:
    """What :func:`convert` would write with these arguments; the source is open in the context."""
    block_type = str(type).lower()
    with closing(open_source(src, block_type=block_type, needs_vocabulary=vocab is None)) as source:
        if vocab is not None:
            source.replace_vocabulary(Path(vocab))
        yield conversion_plan(
            source,
            Path(out),
            type,
            pure=pure,
            container=container,
            version=version,
            byte_order=byte_order,
            threads=threads,
        )
