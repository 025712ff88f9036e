"""`ggmlkit apply-delta`: the model that a delta makes of its base."""

from __future__ import annotations

import argparse

from ggmlkit.cli import options, values
from ggmlkit.cli.targets import refuse_overwriting

EXAMPLES = """\
  ggmlkit apply-delta llama-7b vicuna-7b-delta vicuna-7b
  ggmlkit apply-delta llama-7b vicuna-7b-delta vicuna-7b.gguf --type q4_K_M"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("base", type=values.path, metavar="BASE", help="Hugging Face folder.")
    parser.add_argument(
        "delta",
        type=values.path,
        metavar="DELTA",
        help="Hugging Face folder with what to add to BASE.",
    )
    parser.add_argument(
        "out", type=values.path, metavar="OUT", help="Folder to write, or a file (.gguf, .bin)."
    )
    options.add_type(parser, "the delta's")
    options.add_container(parser)
    options.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Write the model."""
    refuse_overwriting(args.out, args.base, args.delta)
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.delta import apply_delta

    with progress("apply-delta") as report:
        apply_delta(
            args.base,
            args.delta,
            args.out,
            type=args.type,
            container=args.container,
            threads=args.threads,
            progress=report,
        )
    return 0
