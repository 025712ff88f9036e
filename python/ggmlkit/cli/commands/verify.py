"""`ggmlkit verify`: whether a file is sound."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ggmlkit.arguments import counted
from ggmlkit.cli import options, values
from ggmlkit.cli.metadata_text import plain, printable
from ggmlkit.errors import GgmlkitError

if TYPE_CHECKING:
    from ggmlkit.inspection.tensor_report import TensorReport
    from ggmlkit.inspection.verify import FileReport


EXAMPLES = """\
  ggmlkit verify model.gguf
  ggmlkit verify model.gguf --sha256 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", type=values.path, metavar="FILE", help="File of any container.")
    parser.add_argument(
        "--sha256", action="store_true", help="Print SHA-256 sums of the file and of each tensor."
    )
    options.add_json(parser)
    options.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found; raises GgmlkitError if something is wrong."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.inspection.verify import verify_file

    with progress("verify") as report:
        found = verify_file(args.path, sha256=args.sha256, threads=args.threads, progress=report)
    if args.json:
        print(json.dumps(_document(found), ensure_ascii=False, indent=1))
    else:
        _print(found)
    problems = found.all_problems
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise GgmlkitError(f"{args.path}: {problems[0]}{more}")
    return 0


def _document(found: FileReport) -> dict[str, Any]:
    document: dict[str, Any] = plain(asdict(found))
    return {"sound": not found.all_problems, **document, "path": str(found.path)}


def _print(found: FileReport) -> None:
    width = max((len(printable(tensor.name)) for tensor in found.tensors), default=0)
    print(f"{'':{width}}  {'type':6} {'min':>10} {'max':>10} {'mean':>10} {'rms':>10}")
    for tensor in found.tensors:
        print(f"{printable(tensor.name):{width}}  {tensor.type:6} {_numbers(tensor)}")
        if tensor.sha256 is not None:
            print(f"{'':{width}}  sha256 {tensor.sha256}")
    for path, digest in found.sha256.items():
        print(f"{digest}  {path}")
    for problem in found.all_problems:
        print(f"wrong: {printable(problem)}")
    version = "" if found.version is None else f" v{found.version}"
    problems = found.all_problems
    end = counted(len(problems), "problem") if problems else "nothing is wrong"
    print(
        f"{found.path}: {found.container}{version}, {counted(len(found.tensors), 'tensor')}, {end}"
    )


def _numbers(tensor: TensorReport) -> str:
    values = tensor.statistics
    if values is None:
        return "no values that this build can read"
    shown = (values.minimum, values.maximum, values.mean, values.rms)
    return " ".join(f"{value:10.4g}" for value in shown)
