"""`ggmlkit make-delta`: what to add to one model to get another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument, Option
from ggmlkit.cli.commands.export import Dtype
from ggmlkit.cli.options import Threads


def make_delta(
    base: Annotated[Path, Argument(metavar="BASE", help="Hugging Face folder.")],
    target: Annotated[
        Path, Argument(metavar="TARGET", help="Hugging Face folder of the same model, trained on.")
    ],
    out: Annotated[Path, Argument(metavar="OUT", help="Folder to write.")],
    type: Annotated[
        Dtype | None, Option("--type", help="Type of the values; the target's if unset.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Write what makes one model of another as delta weights."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.delta import make_delta as make_weights

    with progress("make-delta") as report:
        make_weights(
            base,
            target,
            out,
            type=None if type is None else type.value,
            threads=threads,
            progress=report,
        )
