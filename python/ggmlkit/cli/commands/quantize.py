"""`ggmlkit quantize`: rewrite a model file in another type."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ggmlkit.cli import files, llama_cpp, options, values
from ggmlkit.cli.progress import Progress
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.quantization.calibrating import Calibrating

EXAMPLES = """\
  ggmlkit quantize model-f16.gguf model-q4_K_M.gguf q4_K_M
  ggmlkit quantize model-f16.gguf out.gguf q4_0 --tensor-type 'attn_v=q8_0'
  ggmlkit quantize model-f16.gguf out.gguf q4_0 --calibrate text.txt
  ggmlkit quantize *-f16.gguf q4_K_M/ q4_K_M"""


METHODS = ("search", "feedback", "descent")
TUNE_STEPS = 200


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
        "it, and loses less; default: descent. Of --imatrix: search, which takes longer than "
        "without it and loses less.",
    )
    parser.add_argument(
        "--samples",
        type=values.whole_number(2),
        metavar="N",
        help="Of --calibrate: pieces of 512 tokens of the text, at most; default: 32.",
    )
    parser.add_argument(
        "--tune",
        type=values.whole_number(1),
        nargs="?",
        const=TUNE_STEPS,
        metavar="STEPS",
        help="Of --calibrate: at last train the scales of the blocks and the norms, which takes "
        f"long and loses less; needs torch; default: {TUNE_STEPS} steps.",
    )
    options.add_container(parser)
    options.add_threads(parser)
    files.add_ray(parser)
    llama_cpp.add_quantize_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write the files."""
    _check_calibration(args)
    targets = files.targets_of(args, args.imatrix, args.calibrate)
    is_calibrated = args.calibrate is not None or args.method is not None
    title = f"{'calibrate and ' if is_calibrated else ''}quantize to {args.type}"
    return files.write_files(args, targets, _write, title, of_bytes=not is_calibrated)


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
        calibrate=_calibration(args),
        container=args.container,
        threads=args.threads,
        progress=progress,
    )


def _check_calibration(args: argparse.Namespace) -> None:
    if args.calibrate is not None and args.imatrix is not None:
        raise UsageError(
            "give either --imatrix or --calibrate: a calibration measures what an importance "
            "matrix says"
        )
    for option in ("samples", "tune"):
        if getattr(args, option) is not None and args.calibrate is None:
            raise UsageError(f"--{option} needs --calibrate TEXT")
    if args.method is None or args.calibrate is not None:
        return
    if args.imatrix is None:
        raise UsageError("--method needs --calibrate TEXT")
    if args.method != "search":
        raise UsageError(
            f"--method {args.method} needs --calibrate TEXT: an importance matrix suffices for "
            "--method search alone"
        )


def _calibration(args: argparse.Namespace) -> Calibrating | None:
    if args.calibrate is not None:
        from ggmlkit.calibration.calibration import Calibration

        given = {"method": args.method, "samples": args.samples, "tune": args.tune}
        return Calibration(args.calibrate, **{k: v for k, v in given.items() if v is not None})
    if args.method is not None:
        from ggmlkit.calibration.searching import ScaleSearch

        return ScaleSearch()
    return None
