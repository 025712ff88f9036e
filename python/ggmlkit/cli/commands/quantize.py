"""`ggmlkit quantize`: rewrite a model file in another type."""

from __future__ import annotations

import argparse
from pathlib import Path

from ggmlkit.cli import files, llama_cpp, options, values
from ggmlkit.cli.progress import Progress

EXAMPLES = """\
  ggmlkit quantize model-f16.gguf model-q4_K_M.gguf q4_K_M
  ggmlkit quantize model-f16.gguf out.gguf q4_0 --tensor-type 'attn_v=q8_0'
  ggmlkit quantize *-f16.gguf q4_K_M/ q4_K_M"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    files.add_files(parser, "IN", "Model file of any container and version.")
    parser.add_argument("type", type=values.type_name, metavar="TYPE", help=options.TYPES)
    parser.add_argument(
        "--pure", action="store_true", help="No mixture: give every matrix the same type."
    )
    parser.add_argument(
        "--tensor-type",
        type=values.tensor_type,
        action="append",
        default=[],
        metavar="PATTERN=TYPE",
        help="Type of the matrices in whose names the regular expression is found; the first "
        "that fits counts. May be repeated.",
    )
    parser.add_argument(
        "--imatrix",
        type=values.path,
        metavar="FILE",
        help="Importance of each column, as llama-imatrix writes it.",
    )
    options.add_container(parser)
    options.add_threads(parser)
    files.add_ray(parser)
    llama_cpp.add_quantize_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write the files."""
    targets = files.targets_of(args, args.imatrix)
    return files.write_files(args, targets, _write, f"quantize to {args.type}")


def _write(
    args: argparse.Namespace, source: Path, out: Path, progress: Progress | None
) -> list[str]:
    """Write a file; notes on it."""
    from ggmlkit.io.imatrix import read_imatrix
    from ggmlkit.quantization import quantize_file

    importance = None if args.imatrix is None else read_imatrix(args.imatrix).importance
    return quantize_file(
        source,
        out,
        args.type,
        pure=args.pure,
        tensor_types=args.tensor_type,
        importance=importance,
        container=args.container,
        threads=args.threads,
        progress=progress,
    )
