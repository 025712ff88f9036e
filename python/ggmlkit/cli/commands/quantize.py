"""`ggmlkit quantize`: rewrite a model file in another type."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.metadata_text import print_notes
from ggmlkit.cli.targets import refuse_overwriting
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.calibration.calibration import Calibration

EXAMPLES = """\
  ggmlkit quantize model-f16.gguf model-q4_K_M.gguf q4_K_M
  ggmlkit quantize model-f16.gguf out.gguf q4_0 --tensor-type 'attn_v=q8_0'
  ggmlkit quantize model-f16.gguf out.gguf q4_0 --calibrate text.txt"""


METHODS = ("search", "feedback", "descent")


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
    parser.add_argument(
        "--calibrate",
        type=values.path,
        metavar="TEXT",
        help="Run the model on a text, and round its matrices by what enters them: the same size, "
        "less loss.",
    )
    parser.add_argument(
        "--method",
        type=values.one_of(*METHODS),
        metavar="NAME",
        help="Of --calibrate: search, feedback or descent; each takes longer than the one before "
        "it, and loses less; default: descent.",
    )
    parser.add_argument(
        "--samples",
        type=values.whole_number(2),
        metavar="N",
        help="Of --calibrate: pieces of 512 tokens of the text, at most; default: 32.",
    )
    options.add_container(parser)
    options.add_threads(parser)
    llama_cpp.add_quantize_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    refuse_overwriting(args.out, args.source, args.imatrix, args.calibrate)
    _check_calibration(args)
    from ggmlkit.cli.progress import progress
    from ggmlkit.io.imatrix import read_imatrix
    from ggmlkit.quantization import quantize_file

    importance = None if args.imatrix is None else read_imatrix(args.imatrix).importance
    calibrate = None if args.calibrate is None else _calibration(args)
    title = f"{'calibrate and ' if calibrate else ''}quantize to {args.type}"
    with progress(title, of_bytes=calibrate is None) as report:
        notes = quantize_file(
            args.source,
            args.out,
            args.type,
            pure=args.pure,
            tensor_types=args.tensor_type,
            importance=importance,
            calibrate=calibrate,
            container=args.container,
            threads=args.threads,
            progress=report,
        )
    print_notes(notes)
    return 0


def _check_calibration(args: argparse.Namespace) -> None:
    if args.calibrate is None:
        for option in ("method", "samples"):
            if getattr(args, option) is not None:
                raise UsageError(f"--{option} needs --calibrate TEXT")
    elif args.imatrix is not None:
        raise UsageError(
            "give either --imatrix or --calibrate: a calibration measures what an importance "
            "matrix says"
        )


def _calibration(args: argparse.Namespace) -> Calibration:
    from ggmlkit.calibration.calibration import Calibration

    given = {"method": args.method, "samples": args.samples}
    return Calibration(args.calibrate, **{k: v for k, v in given.items() if v is not None})
