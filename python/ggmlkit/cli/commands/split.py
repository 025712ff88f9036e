"""`ggmlkit split`: one gguf file becomes several."""

from __future__ import annotations

import argparse

from ggmlkit.cli import values
from ggmlkit.cli.targets import refuse_parts_over
from ggmlkit.cli.usage import UsageError

EXAMPLES = """\
  ggmlkit split big.gguf big --max-size 2G"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", type=values.path, metavar="IN", help="gguf file.")
    parser.add_argument(
        "prefix",
        metavar="OUT_PREFIX",
        help="Path of the parts up to -00001-of-0000N.gguf.",
    )
    limits = parser.add_argument_group("size of a part (give one)")
    limits.add_argument(
        "--max-size",
        type=values.size,
        metavar="SIZE",
        help="Most tensor data in a part, such as 500M or 2G.",
    )
    limits.add_argument(
        "--max-tensors", type=values.whole_number(1), metavar="N", help="Most tensors in a part."
    )


def run(args: argparse.Namespace) -> int:
    """Write the parts and print their paths."""
    if (args.max_size is None) == (args.max_tensors is None):
        raise UsageError("give either --max-size or --max-tensors")
    refuse_parts_over(args.prefix, args.source)
    from ggmlkit.cli.progress import progress
    from ggmlkit.io.gguf.split import split_file

    with progress("split") as report:
        parts = split_file(
            args.source,
            args.prefix,
            max_size=args.max_size,
            max_tensors=args.max_tensors,
            progress=report,
        )
    for part in parts:
        print(part)
    return 0
