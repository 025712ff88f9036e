"""`ggmlkit imatrix`: measure which columns of a model's matrices matter."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.targets import refuse_overwriting
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.calibration.statistics import LayerStatistics, MatrixStatistics
    from ggmlkit.io.imatrix import Imatrix

EXAMPLES = """\
  ggmlkit imatrix -m model-f16.gguf -f text.txt -o imatrix.gguf
  ggmlkit imatrix --in-file one.gguf --in-file other.dat -o both.gguf
  ggmlkit imatrix --in-file imatrix.gguf --show-statistics"""

_SIZE = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-m",
        "--model",
        type=values.path,
        metavar="FILE",
        help="Model file to measure: best the f16 or bf16 file that is to be quantized.",
    )
    parser.add_argument(
        "-f", "--file", type=values.path, metavar="TEXT", help="Text to measure it on, UTF-8."
    )
    parser.add_argument(
        "-o",
        "--output-file",
        "--output",
        dest="out",
        type=values.path,
        metavar="OUT",
        help="File to write. Default: imatrix.gguf.",
    )
    parser.add_argument(
        "--in-file",
        type=values.path,
        action="append",
        default=[],
        metavar="FILE",
        help="Importance matrix to add to. May be repeated; without -m, the files are only joined.",
    )
    parser.add_argument(
        "--show-statistics",
        action="store_true",
        help="Print figures about the one --in-file, and write nothing.",
    )
    options.add_json(parser, "With --show-statistics, print JSON, for programs.")
    _add_measuring(parser.add_argument_group("measuring"))
    _add_writing(parser.add_argument_group("writing"))
    llama_cpp.add_imatrix_options(parser)


def _add_measuring(group: options.Arguments) -> None:
    group.add_argument(
        "-c",
        "--ctx-size",
        type=values.whole_number(1),
        default=_SIZE,
        metavar="N",
        help="Tokens of a chunk: the text is cut into such pieces, each computed by itself. "
        "Default: 512.",
    )
    group.add_argument(
        "--chunks",
        type=values.whole_number(-1),
        default=-1,
        metavar="N",
        help="Chunks to use at most. Default: all.",
    )
    group.add_argument(
        "--chunk",
        "--from-chunk",
        dest="skip",
        type=values.whole_number(0),
        default=0,
        metavar="N",
        help="Chunks to leave out at the beginning of the text.",
    )
    group.add_argument(
        "--process-output",
        action="store_true",
        help="Measure also what enters the output matrix. It is stored almost exactly in most "
        "files, so it seldom needs importance.",
    )
    group.add_argument(
        "--parse-special",
        action="store_true",
        help="Names of control tokens in the text, such as <|im_start|>, stand for these tokens.",
    )
    options.add_threads(group)


def _add_writing(group: options.Arguments) -> None:
    options.add_choice(
        group,
        "--output-format",
        choices=("gguf", "dat"),
        help="Form of OUT. dat is that of programs of before mid-2025. Default: dat if OUT ends "
        "with .dat, otherwise gguf.",
    )
    group.add_argument(
        "-ofreq",
        "--output-frequency",
        type=values.whole_number(0),
        default=10,
        metavar="N",
        help="Write OUT again after each N chunks; 0: at the end alone. Default: 10.",
    )
    group.add_argument(
        "--save-frequency",
        type=values.whole_number(0),
        default=0,
        metavar="N",
        help="After each N chunks write a copy that stays, OUT.at_CHUNKS. Default: 0, none.",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="Go on from what OUT holds of the same work, if it was interrupted.",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, join or show."""
    if args.show_statistics:
        return _show(args)
    out: Path = args.out or Path("imatrix.gguf")
    _check(args)
    refuse_overwriting(out, args.model, args.file, *args.in_file)
    from ggmlkit.calibration.merging import merge_imatrices

    start = merge_imatrices(args.in_file, args.ctx_size) if args.in_file else None
    if args.model is None:
        from ggmlkit.io.imatrix import save_imatrix

        assert start is not None, "checked above"
        save_imatrix(out, start, args.output_format)
        return 0
    _measure(args, out, start)
    return 0


def _check(args: argparse.Namespace) -> None:
    if (args.model is None) != (args.file is None):
        raise UsageError("give both a model with -m and a text with -f")
    if args.model is None and not args.in_file:
        raise UsageError("give a model with -m and a text with -f, or files to join with --in-file")
    if args.json:
        raise UsageError("--json goes with --show-statistics")
    if args.chunks == 0:
        raise UsageError("--chunks must be at least 1, or -1 for all")


def _measure(args: argparse.Namespace, out: Path, start: Imatrix | None) -> None:
    from ggmlkit.calibration.imatrix import make_imatrix
    from ggmlkit.calibration.saving import Saving
    from ggmlkit.calibration.text import text_of
    from ggmlkit.cli.progress import progress

    with progress("imatrix", of_bytes=False) as report:
        make_imatrix(
            args.model,
            text_of(args.file),
            chunk_size=args.ctx_size,
            chunks=None if args.chunks < 0 else args.chunks,
            skip=args.skip,
            output=args.process_output,
            parse_special=args.parse_special,
            start=start,
            dataset=str(args.file),
            saving=Saving(
                out,
                args.output_format,
                every=args.output_frequency,
                copies_every=args.save_frequency,
                resume=args.resume,
            ),
            threads=args.threads,
            progress=report,
        )


def _show(args: argparse.Namespace) -> int:
    if len(args.in_file) != 1 or args.model is not None or args.out is not None:
        raise UsageError("--show-statistics shows one --in-file: give no -m and no -o")
    from ggmlkit.calibration.statistics import layer_statistics, matrix_statistics
    from ggmlkit.io.imatrix import read_imatrix

    imatrix = read_imatrix(args.in_file[0])
    matrices = matrix_statistics(imatrix)
    layers = layer_statistics(matrices)
    if args.json:
        document = {
            "datasets": imatrix.datasets,
            "chunks": imatrix.chunk_count,
            "chunk_size": imatrix.chunk_size,
            "matrices": [asdict(each) for each in matrices],
            "layers": [asdict(each) for each in layers],
        }
        print(json.dumps(document, indent=1))
        return 0
    print("\n".join([*_matrix_lines(matrices), "", *_layer_lines(layers), "", *_LEGEND]))
    return 0


_LEGEND = (
    "Each column of a matrix has a mean square: the mean, over the tokens, of the square of what",
    "enters it. sum, least, greatest, mean, deviation: of the columns' mean squares.",
    "active: share of columns above 0.00001.",
    "entropy: of the mean squares as shares, in bits; even: as a share of the highest possible.",
    "outliers: share of columns more than a standard deviation above the mean.",
    "similar: cosine of the angle to the same matrix of the layer before.",
)


def _matrix_lines(matrices: list[MatrixStatistics]) -> list[str]:
    head = (
        f"{'tensor':32} {'columns':>7} {'sum':>12} {'least':>9} {'greatest':>11} {'mean':>9} "
        f"{'deviation':>9} {'active':>7} {'entropy':>8} {'even':>6} {'outliers':>8} {'similar':>7}"
    )
    return [head, *map(_matrix_line, matrices)]


def _matrix_line(s: MatrixStatistics) -> str:
    return (
        f"{s.name:32} {s.columns:7} {s.total:12.2f} {s.least:9.4f} {s.greatest:11.4f} "
        f"{s.mean:9.4f} {s.deviation:9.4f} {s.active:7.1%} {s.entropy:8.4f} {s.evenness:6.1%} "
        f"{s.outliers:8.2%} {s.similarity:7.4f}"
    )


def _layer_lines(layers: list[LayerStatistics]) -> list[str]:
    head = f"{'layer':>5} {'sum':>12} {'outliers':>8} {'similar':>7}"
    return [
        head,
        *(f"{s.layer:5} {s.total:12.2f} {s.outliers:8.2%} {s.similarity:7.4f}" for s in layers),
    ]
