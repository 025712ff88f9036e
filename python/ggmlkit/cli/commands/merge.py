"""`ggmlkit merge`: a gguf model in parts becomes one file."""

from __future__ import annotations

import argparse

from ggmlkit.cli import values
from ggmlkit.cli.targets import refuse_overwriting

EXAMPLES = """\
  ggmlkit merge big-00001-of-00004.gguf big.gguf"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "part", type=values.path, metavar="PART", help="Any part; the others are found beside it."
    )
    parser.add_argument("out", type=values.path, metavar="OUT", help="gguf file to write.")


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    refuse_overwriting(args.out, args.part)
    from ggmlkit.cli.progress import progress
    from ggmlkit.io.gguf.split import merge_files

    with progress("merge") as report:
        merge_files(args.part, args.out, progress=report)
    return 0
