"""`ggmlkit export`: a model file becomes a checkpoint."""

from __future__ import annotations

import argparse

from ggmlkit.cli import options, values
from ggmlkit.cli.targets import refuse_overwriting, refuse_replacing
from ggmlkit.cli.usage import UsageError

EXAMPLES = """\
  ggmlkit export model.gguf model-hf
  ggmlkit export model.gguf model-meta --format meta --dtype bf16"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source", type=values.path, metavar="FILE", help="Model file, or hf:OWNER/NAME[:FILE]."
    )
    parser.add_argument(
        "out", type=values.path, metavar="OUT", help="Folder to write; for npz a file."
    )
    options.add_choice(
        parser,
        "--format",
        choices=("hf", "meta", "npz"),
        default="hf",
        help="Hugging Face's folder, Meta's folder, or a NumPy archive.",
    )
    options.add_choice(
        parser,
        "--dtype",
        choices=("f32", "f16", "bf16"),
        help="Type of the weights. Default: as they are, f32 where quantized.",
    )
    parser.add_argument(
        "--shard-size",
        type=values.size,
        metavar="SIZE",
        help="Most tensor data in a safetensors file. Default: 5G.",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace a checkpoint that OUT has already."
    )
    options.add_vocab(parser)
    options.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Write the checkpoint."""
    if args.shard_size is not None and args.format != "hf":
        raise UsageError("--shard-size is for --format hf")
    refuse_overwriting(args.out, args.source, args.vocab)
    refuse_replacing(args.out, args.overwrite)
    from ggmlkit.cli.progress import progress
    from ggmlkit.conversion.checkpoint_files import SHARD_SIZE
    from ggmlkit.conversion.export import export

    with progress(f"export to {args.format}") as report:
        export(
            args.source,
            args.out,
            format=args.format,
            type=args.dtype,
            shard_size=args.shard_size or SHARD_SIZE,
            vocab=args.vocab,
            threads=args.threads,
            progress=report,
        )
    return 0
