"""`ggmlkit quantize`: rewrite a model file in another type."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ggmlkit.calibration.methods import METHODS
from ggmlkit.cli import files, llama_cpp, options, values
from ggmlkit.cli.progress import Progress
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.calibration.calibration import Calibration
    from ggmlkit.quantization.calibrating import Calibrating

EXAMPLES = """\
  ggmlkit quantize model-f16.gguf model-q4_K_M.gguf q4_K_M
  ggmlkit quantize model-f16.gguf out.gguf q4_0 --tensor-type 'attn_v=q8_0'
  ggmlkit quantize model-f16.gguf out.gguf q4_0 --calibrate text.txt
  ggmlkit quantize model-f16.gguf out.gguf --size 4.5bpw --calibrate text.txt
  ggmlkit quantize *-f16.gguf q4_K_M/ q4_K_M"""


TUNE_STEPS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    files.add_files(parser, "IN", "Model file of any container and version.")
    parser.add_argument(
        "type",
        type=values.type_name,
        nargs="?",
        metavar="TYPE",
        help=f"Left out with --size. {options.TYPES}",
    )
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
    parser.add_argument(
        "--size",
        type=values.size_of_file,
        metavar="SIZE",
        help="Choose the type of each matrix so that OUT is no larger than 2GB, 800MB or so many "
        "bytes, or its tensors have no more than 4.5bpw, bits a weight; and loses least. It needs "
        "--calibrate and ggmlkit[calibration].",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="With --size: print the choice, and write nothing.",
    )
    options.add_container(parser)
    options.add_threads(parser)
    files.add_ray(parser)
    llama_cpp.add_quantize_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write the files."""
    _settle_type(args)
    _check_calibration(args)
    targets = files.targets_of(args, args.imatrix, args.calibrate)
    is_calibrated = args.calibrate is not None or args.method is not None
    title = f"{'calibrate and ' if is_calibrated else ''}quantize to {args.size or args.type}"
    if args.dry_run:
        return _show_choice(args, title)
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
        size=args.size,
        pure=args.pure,
        tensor_types=args.tensor_type,
        importance=importance,
        calibrate=_calibrating(args),
        container=args.container,
        threads=args.threads,
        progress=progress,
    )


def _settle_type(args: argparse.Namespace) -> None:
    """TYPE is the last argument, unless --size stands for it; `argparse` took it for OUT."""
    last = str(args.out)
    if args.size is None:
        if args.dry_run:
            raise UsageError("--dry-run needs --size")
        if len(args.sources) < 2:
            raise UsageError("the following arguments are required: TYPE (or --size)")
        try:
            args.type = values.type_name(last)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"TYPE {error}") from None
        args.out = args.sources.pop()
        return
    from ggmlkit.quantization import NAMES

    if len(args.sources) > 1 and last.lower() in map(str.lower, NAMES):
        raise UsageError("give either TYPE or --size, which chooses the types")
    if args.pure:
        raise UsageError("--pure gives every matrix the same type, which --size doesn't")
    if args.calibrate is None:
        raise UsageError("--size needs --calibrate TEXT: what types cost is measured on it")


def _show_choice(args: argparse.Namespace, title: str) -> int:
    """Print which matrix would get which type."""
    if len(args.sources) > 1:
        raise UsageError("--dry-run shows the choice of one IN")
    from ggmlkit.calibration.recommending import sensitivities
    from ggmlkit.cli.progress import progress

    with progress(title, of_bytes=False) as tell:
        found = sensitivities(
            args.sources[0],
            _calibration(args),
            tensor_types=args.tensor_type,
            threads=args.threads,
            progress=tell,
        )
    choice = found.choose(args.size)
    width = max(map(len, choice.types), default=0)
    for name, kind in choice.types.items():
        print(f"{name:{width}}  {kind}")
    print(
        f"\n{choice.summary()}: {choice.nbytes:,} bytes, {choice.bits_per_weight:.2f} bits a "
        f"weight, expected KL {choice.kl:.6f}; nothing was written"
    )
    return 0


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
        raise UsageError("--method needs --calibrate TEXT, or --imatrix FILE")
    if args.method != "search":
        raise UsageError(
            f"--method {args.method} needs --calibrate TEXT: an importance matrix suffices for "
            "--method search alone"
        )


def _calibrating(args: argparse.Namespace) -> Calibrating | None:
    if args.calibrate is not None:
        return _calibration(args)
    if args.method is not None:
        from ggmlkit.calibration.searching import ScaleSearch

        return ScaleSearch()
    return None


def _calibration(args: argparse.Namespace) -> Calibration:
    from ggmlkit.calibration.calibration import Calibration

    given = {"method": args.method, "samples": args.samples, "tune": args.tune}
    return Calibration(args.calibrate, **{k: v for k, v in given.items() if v is not None})
