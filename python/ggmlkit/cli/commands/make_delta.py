"""`ggmlkit make-delta`: what to add to one model to get another."""

from __future__ import annotations

import argparse

from ggmlkit.cli import options, values
from ggmlkit.cli.targets import refuse_overwriting

EXAMPLES = """\
  ggmlkit make-delta llama-7b vicuna-7b vicuna-7b-delta --type f16"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("base", type=values.path, metavar="BASE", help="Hugging Face folder.")
    parser.add_argument(
        "target",
        type=values.path,
        metavar="TARGET",
        help="Hugging Face folder of the same model after more training.",
    )
    parser.add_argument("out", type=values.path, metavar="OUT", help="Folder to write.")
    options.add_choice(
        parser,
        "--type",
        choices=("f32", "f16", "bf16"),
        help="Type of the differences. Default: the target's.",
    )
    options.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Write the delta."""
    refuse_overwriting(args.out, args.base, args.target)
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.delta import make_delta

    with progress("make-delta") as report:
        make_delta(
            args.base,
            args.target,
            args.out,
            type=args.type,
            threads=args.threads,
            progress=report,
        )
    return 0
