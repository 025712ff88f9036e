"""`ggmlkit inspect`: what a file holds, its data unread."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ggmlkit.cli.command_line import Argument
from ggmlkit.cli.options import Json
from ggmlkit.cli.plain import plain, printable, short

if TYPE_CHECKING:
    from ggmlkit.io.base import ModelFile
    from ggmlkit.tensor import Tensor


def inspect(
    path: Annotated[Path, Argument(metavar="FILE", help="Model, checkpoint, adapter or imatrix.")],
    as_json: Json = False,
) -> None:
    """Show a file's metadata, its tensors, and how many bytes each type takes."""
    from ggmlkit import io

    with io.open(path) as file:
        if as_json:
            print(json.dumps(_document(file), ensure_ascii=False, indent=1))
        else:
            _print(file)


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
            {"name": name, "type": t.type.name, "shape": list(t.shape), "nbytes": t.nbytes}
            for name, t in tensors.items()
        ],
        "types": _by_type(tensors),
    }


def _by_type(tensors: dict[str, Tensor]) -> dict[str, dict[str, int]]:
    """How many tensors, elements and bytes each type has, in order of appearance."""
    sums: dict[str, dict[str, int]] = defaultdict(
        lambda: {"tensors": 0, "elements": 0, "nbytes": 0}
    )
    for tensor in tensors.values():
        row = sums[tensor.type.name]
        row["tensors"] += 1
        row["elements"] += tensor.size
        row["nbytes"] += tensor.nbytes
    return dict(sums)


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
        print(f"  {name:{width}}  {tensor['type']:6} {tensor['nbytes']:>12,}  {shape}")

    print("\ntypes")
    for name, row in document["types"].items():
        bits = 8 * row["nbytes"] / max(1, row["elements"])
        print(
            f"  {name:6} {row['tensors']:>5} tensors {row['elements']:>14,} weights"
            f" {row['nbytes']:>14,} bytes  {bits:.2f} bits each"
        )
    total = sum(row["nbytes"] for row in document["types"].values())
    weights = sum(row["elements"] for row in document["types"].values())
    print(
        f"  all    {len(document['tensors']):>5} tensors {weights:>14,} weights {total:>14,} bytes"
    )
