"""`ggmlkit repair`: what is left of a file that was cut short."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from ggmlkit.cli.command_line import Argument
from ggmlkit.cli.metadata_text import printable


def repair(
    path: Annotated[Path, Argument(metavar="FILE", help="gguf, ggjt, ggmf or ggml file.")],
    out: Annotated[Path, Argument(metavar="OUT", help="File to write.")],
) -> None:
    """Save the whole tensors of a file that was cut short; those lost are listed on stderr."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.inspection.repair import repair_file

    with progress("repair") as report:
        found = repair_file(path, out, progress=report)
    for tensor in found.lost:
        name = printable(tensor.name or "a tensor without a name")
        print(f"lost: {name}: {printable(tensor.reason)}", file=sys.stderr)
    lost = f"{len(found.lost)} lost" if found.lost else "nothing is lost"
    print(f"{out}: {len(found.saved)} tensors saved, {lost}", file=sys.stderr)
