"""`ggmlkit compare`: what differs between two model files."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ggmlkit.arguments import counted
from ggmlkit.cli import options, values
from ggmlkit.cli.metadata_text import plain, printable, short

if TYPE_CHECKING:
    from ggmlkit.inspection.compare import Comparison, TensorPair


EXAMPLES = """\
  ggmlkit compare model-f16.gguf model-q4_0.gguf
  ggmlkit compare checkpoint-folder model.gguf --json"""

_SAME, _DIFFERENT = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "first", type=values.path, metavar="A", help="Model file or checkpoint folder."
    )
    parser.add_argument("second", type=values.path, metavar="B", help="Another, of any container.")
    options.add_json(parser)
    options.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Print the differences; 1 if there are any."""
    from ggmlkit.cli.progress import progress
    from ggmlkit.inspection.compare import compare_files

    with progress("compare") as report:
        found = compare_files(args.first, args.second, threads=args.threads, progress=report)
    if args.json:
        print(json.dumps(_document(found), ensure_ascii=False, indent=1))
    else:
        _print(found)
    return _SAME if found.same else _DIFFERENT


def _document(found: Comparison) -> dict[str, Any]:
    document: dict[str, Any] = plain(asdict(found))
    return {"same": found.same, **document}


def _print(found: Comparison) -> None:
    if found.same:
        print(f"the same: {counted(len(found.tensors), 'tensor')}, and all metadata")
        return
    print(f"metadata: {len(found.changed)} of other values")
    for key, (one, two) in found.changed.items():
        print(f"  {printable(key)} = {short(plain(one))} | {short(plain(two))}")
    for side, keys in (("A", found.keys_of_first), ("B", found.keys_of_second)):
        for key, value in keys.items():
            print(f"  only in {side}: {printable(key)} = {short(plain(value))}")
    different = [pair for pair in found.tensors if not pair.identical]
    print(f"\ntensors: {len(found.tensors)} in both, {len(different)} of them different")
    for side, names in (("A", found.tensors_of_first), ("B", found.tensors_of_second)):
        for name in names:
            print(f"  only in {side}: {printable(name)}")
    width = max((len(printable(pair.name)) for pair in different), default=0)
    for pair in different:
        print(f"  {printable(pair.name):{width}}  {_line(pair)}")


def _line(pair: TensorPair) -> str:
    one, two = pair.types
    types = one if one == two else f"{one} | {two}"
    if pair.shapes[0] != pair.shapes[1]:
        return f"{types}  {' | '.join(' x '.join(map(str, shape)) for shape in pair.shapes)}"
    if pair.errors is None:
        return f"{types}  values unknown to this build"
    errors = pair.errors
    return f"{types:13}  max {errors.maximum:.3g}  rms {errors.rms:.3g}  cosine {errors.cosine:.7f}"
