"""`ggmlkit inspect`: what a file holds, its data unread."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ggmlkit.cli import options, values
from ggmlkit.cli.metadata_text import plain, printable, short

if TYPE_CHECKING:
    from ggmlkit.io.base import ModelFile
    from ggmlkit.tensor import Tensor


EXAMPLES = """\
  ggmlkit inspect model.gguf
  ggmlkit inspect adapter.safetensors --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "path", type=values.path, metavar="FILE", help="Model, checkpoint, adapter or imatrix."
    )
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print what the file holds."""
    from ggmlkit import io

    with io.open(args.path) as file:
        if args.json:
            print(json.dumps(_document(file), ensure_ascii=False, indent=1))
        else:
            _print(file)
    return 0


def _document(file: ModelFile) -> dict[str, Any]:
    tensors = file.tensors
    return {
        "path": str(file.path),
        "container": file.container,
        "version": file.version,
        "byte_order": file.byte_order,
        "parts": [str(path) for path in file.paths] if len(file.paths) > 1 else [],
        "metadata": {key: plain(value) for key, value in (file.metadata | file.notes).items()},
        "tensors": [
            {"name": name, "type": t.stored_as, "shape": list(t.shape), "nbytes": _size(t)}
            for name, t in tensors.items()
        ],
        "types": _by_type(tensors),
    }


def _size(tensor: Tensor) -> int | None:
    """Bytes of a tensor; ``None`` where its type is unknown."""
    from ggmlkit.io.unknown_tensor import UnknownTensor

    return None if isinstance(tensor, UnknownTensor) else tensor.nbytes


def _by_type(tensors: dict[str, Tensor]) -> dict[str, dict[str, int | None]]:
    """How many tensors, elements and bytes each type has, in order of appearance."""
    kinds: dict[str, list[Tensor]] = defaultdict(list)
    for tensor in tensors.values():
        kinds[tensor.stored_as].append(tensor)
    return {
        name: {
            "tensors": len(of_kind),
            "elements": sum(tensor.size for tensor in of_kind),
            "nbytes": _sum([_size(tensor) for tensor in of_kind]),
        }
        for name, of_kind in kinds.items()
    }


def _sum(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _bytes(size: int | None, width: int) -> str:
    return f"{'?' if size is None else format(size, ','):>{width}}"


def _print(file: ModelFile) -> None:
    document = _document(file)
    version = "" if file.version is None else f" v{file.version}"
    print(f"{file.path}: {file.container}{version}, {file.byte_order}-endian")
    for part in document["parts"]:
        print(f"  {part}")

    print(f"\nmetadata ({len(document['metadata'])})")
    for key, value in document["metadata"].items():
        print(f"  {printable(key)} = {short(value)}")

    print(f"\ntensors ({len(document['tensors'])})")
    width = max((len(printable(tensor["name"])) for tensor in document["tensors"]), default=0)
    for tensor in document["tensors"]:
        shape = " x ".join(map(str, tensor["shape"]))
        name = printable(tensor["name"])
        print(f"  {name:{width}}  {tensor['type']:6} {_bytes(tensor['nbytes'], 12)}  {shape}")

    print("\ntypes")
    for name, row in document["types"].items():
        size = row["nbytes"]
        bits = "" if size is None else f"  {8 * size / max(1, row['elements']):.2f} bits each"
        print(
            f"  {name:6} {row['tensors']:>5} tensors {row['elements']:>14,} weights"
            f" {_bytes(size, 14)} bytes{bits}"
        )
    total = _bytes(_sum([tensor["nbytes"] for tensor in document["tensors"]]), 14)
    weights = sum(row["elements"] for row in document["types"].values())
    print(f"  all    {len(document['tensors']):>5} tensors {weights:>14,} weights {total} bytes")
    if unknown := [name for name, row in document["types"].items() if row["nbytes"] is None]:
        print(f"\n{', '.join(unknown)}: not known to this version; the other tensors can be read")
