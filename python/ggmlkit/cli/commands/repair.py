"""`ggmlkit repair`: what is left of a file that was cut short."""

from __future__ import annotations

import argparse
import sys

from ggmlkit.arguments import counted
from ggmlkit.cli import values
from ggmlkit.cli.metadata_text import printable
from ggmlkit.cli.targets import refuse_overwriting

EXAMPLES = """\
  ggmlkit repair half-a-download.gguf rescued.gguf"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "path", type=values.path, metavar="FILE", help="gguf, ggjt, ggmf or ggml file."
    )
    parser.add_argument("out", type=values.path, metavar="OUT", help="File to write.")


def run(args: argparse.Namespace) -> int:
    """Write the file and list the lost tensors."""
    refuse_overwriting(args.out, args.path)
    from ggmlkit.cli.progress import progress
    from ggmlkit.inspection.repair import repair_file

    with progress("repair") as report:
        found = repair_file(args.path, args.out, progress=report)
    for tensor in found.lost:
        name = printable(tensor.name or "a tensor without a name")
        print(f"lost: {name}: {printable(tensor.reason)}", file=sys.stderr)
    lost = f"{len(found.lost)} lost" if found.lost else "nothing is lost"
    print(f"{args.out}: {counted(len(found.saved), 'tensor')} saved, {lost}", file=sys.stderr)
    return 0
