"""`ggmlkit quantize`: rewrite a model file in another type."""

from __future__ import annotations

import argparse

from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.metadata_text import print_notes
from ggmlkit.cli.targets import refuse_overwriting

EXAMPLES = """\
  ggmlkit quantize model-f16.gguf model-q4_K_M.gguf q4_K_M
  ggmlkit quantize model-f16.gguf out.gguf q4_0 --tensor-type 'attn_v=q8_0'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source", type=values.path, metavar="IN", help="Model file of any container and version."
    )
    parser.add_argument(
        "out", type=values.path, metavar="OUT", help="File to write: .gguf or .bin."
    )
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
    llama_cpp.add_quantize_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    refuse_overwriting(args.out, args.source, args.imatrix)
    from ggmlkit.cli.progress import progress
    from ggmlkit.io.imatrix import read_imatrix
    from ggmlkit.quantization import quantize_file

    importance = None if args.imatrix is None else read_imatrix(args.imatrix).importance
    with progress(f"quantize to {args.type}") as report:
        notes = quantize_file(
            args.source,
            args.out,
            args.type,
            pure=args.pure,
            tensor_types=args.tensor_type,
            importance=importance,
            container=args.container,
            threads=args.threads,
            progress=report,
        )
    print_notes(notes)
    return 0
