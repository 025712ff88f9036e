"""`ggmlkit apply-lora`: a model with adapters added to its weights."""

from __future__ import annotations

import argparse

from ggmlkit.cli import options, values
from ggmlkit.cli.targets import refuse_overwriting

EXAMPLES = """\
  ggmlkit apply-lora llama-7b-f16.gguf my-adapter out.gguf --type q8_0
  ggmlkit apply-lora llama-7b style.gguf:0.5 facts.gguf out.gguf"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "base", type=values.path, metavar="BASE", help="Folder (Meta, Hugging Face) or model file."
    )
    parser.add_argument(
        "adapters",
        type=values.adapter,
        nargs="+",
        metavar="ADAPTER[:SCALE]",
        help="PEFT folder, gguf or ggla file; SCALE multiplies what it adds.",
    )
    parser.add_argument(
        "out", type=values.path, metavar="OUT", help="File to write: .gguf or .bin."
    )
    options.add_type(parser, "the types that BASE has")
    options.add_container(parser)
    options.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Write the model."""
    refuse_overwriting(args.out, args.base, *(path for path, _ in args.adapters))
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.lora.merge import apply_lora

    with progress("apply-lora") as report:
        apply_lora(
            args.base,
            args.adapters,
            args.out,
            type=args.type,
            container=args.container,
            threads=args.threads,
            progress=report,
        )
    return 0
