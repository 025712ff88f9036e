"""`ggmlkit apply-lora`: a model with adapters added to its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument
from ggmlkit.cli.options import Container, Threads, Type


def apply_lora(
    base: Annotated[
        Path, Argument(metavar="BASE", help="Folder (Meta or Hugging Face) or model file.")
    ],
    adapters: Annotated[
        list[str],
        Argument(
            metavar="ADAPTER[:SCALE]", help="PEFT folder, gguf or ggla file, and how strongly."
        ),
    ],
    out: Annotated[Path, Argument(metavar="OUT", help="File to write: .gguf, or .bin.")],
    type: Type = None,
    container: Container = None,
    threads: Threads = None,
) -> None:
    """Add LoRA adapters to a model's weights for good, in --type or the types they have."""
    from ggmlkit.cli.adapters import scaled
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.lora.merge import apply_lora as apply_adapters

    with progress("apply-lora") as report:
        apply_adapters(
            base,
            scaled(adapters),
            out,
            type=type,
            container=container,
            threads=threads,
            progress=report,
        )
