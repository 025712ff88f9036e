"""`ggmlkit recommend`: which sizes of a model cost how much."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ggmlkit.calibration.methods import METHODS
from ggmlkit.cli import options, values
from ggmlkit.cli.targets import refuse_overwriting, refuse_same

if TYPE_CHECKING:
    from ggmlkit.calibration.choosing import TypeChoice

EXAMPLES = """\
  ggmlkit recommend -m model-f16.gguf -f text.txt
  ggmlkit recommend -m model-f16.gguf -f text.txt --plot sizes.svg --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    parser.add_argument(
        "-f",
        "--file",
        required=True,
        type=values.path,
        metavar="FILE",
        help="Text that is like what the model will see, UTF-8. Required.",
    )
    parser.add_argument(
        "--points",
        type=values.whole_number(2, 100),
        default=10,
        metavar="N",
        help="Sizes to show, from the smallest to the best.",
    )
    parser.add_argument(
        "--method",
        type=values.one_of(*METHODS),
        default="descent",
        metavar="NAME",
        help="Of the rounding that files will get: search, feedback or descent.",
    )
    parser.add_argument(
        "--samples",
        type=values.whole_number(2),
        default=32,
        metavar="N",
        help="Pieces of 512 tokens of the text, at most.",
    )
    options.add_json(parser)
    parser.add_argument(
        "--plot",
        type=values.path,
        metavar="FILE",
        help="Draw the curve: .png, .svg or .pdf. It needs ggmlkit[plots].",
    )
    options.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, and print the curve."""
    if args.plot is not None:
        refuse_overwriting(args.plot, args.model)
        refuse_same(args.plot, args.file)
    from ggmlkit.calibration.budget import check_scipy
    from ggmlkit.calibration.calibration import Calibration
    from ggmlkit.calibration.recommending import recipes_of, sensitivities
    from ggmlkit.cli.progress import progress
    from ggmlkit.evaluation.plots import check_plot, plot_sizes

    check_scipy()
    if args.plot is not None:
        check_plot(args.plot)
    calibration = Calibration(args.file, args.method, args.samples)
    with progress("recommend", of_bytes=False) as tell:
        found = sensitivities(args.model, calibration, threads=args.threads, progress=tell)
    curve, recipes = found.curve(args.points), recipes_of(args.model, found)
    if args.plot is not None:
        plot_sizes(_points(curve), {n: _point(c) for n, c in recipes.items()}, args.plot)
    if args.json:
        print(json.dumps(_document(args.model, curve, recipes), ensure_ascii=False, indent=1))
    else:
        _print(curve, recipes)
    return 0


def _print(curve: list[TypeChoice], recipes: dict[str, TypeChoice]) -> None:
    print("with --size and --calibrate")
    print(f"  {'size':>10}  {'bits a weight':>13}  {'expected KL':>11}  types")
    for each in curve:
        print(f"  {_figures(each)}  {each.summary()}")
    print("\nrecipes, with --calibrate")
    for name, each in recipes.items():
        print(f"  {_figures(each)}  {name}")


def _figures(choice: TypeChoice) -> str:
    megabytes = f"{choice.nbytes / 1e6:.1f} MB"
    return f"{megabytes:>10}  {choice.bits_per_weight:13.2f}  {choice.kl:11.6f}"


def _point(choice: TypeChoice) -> tuple[float, float]:
    return choice.nbytes / 1e6, choice.kl


def _points(curve: list[TypeChoice]) -> list[tuple[float, float]]:
    return [_point(each) for each in curve]


def _document(
    model: Path, curve: list[TypeChoice], recipes: dict[str, TypeChoice]
) -> dict[str, Any]:
    return {
        "model": str(model),
        "sizes": [_choice(each) for each in curve],
        "recipes": {name: _choice(each) for name, each in recipes.items()},
    }


def _choice(choice: TypeChoice) -> dict[str, Any]:
    return {
        "bytes": choice.nbytes,
        "bits_per_weight": choice.bits_per_weight,
        "expected_kl": choice.kl,
        "types": {name: kind.name for name, kind in choice.types.items()},
    }
