"""HDF5 files, such as Keras's ``.h5``: the arrays of numbers that are stored in one piece.

h5py, an extra, reads the structure; the data is read here, at the offset that h5py gives.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ggmlkit import types
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.foreign.tensors_file import TensorsFile
from ggmlkit.tensor import Tensor

_TYPES = {
    "<f8": "f64",
    "<f4": "f32",
    "<f2": "f16",
    "<i8": "i64",
    "<i4": "i32",
    "<i2": "i16",
    "|i1": "i8",
}
_LONGEST_NAME = 4096


def open_hdf5(path: str | os.PathLike[str]) -> TensorsFile:
    """Open an HDF5 file; arrays are named by their paths in it.

    Links to other files are not followed; texts and tables are left out.

    Raises FormatError for a damaged file, and without h5py; UnsupportedTypeError for an array that
    is compressed, in pieces or elsewhere.
    """
    path = Path(path)
    try:
        import h5py
    except ImportError as error:
        raise FormatError(
            path, 0, "an HDF5 file (Keras .h5); reading it needs ggmlkit[hdf5]"
        ) from error
    tensors: dict[str, Tensor] = {}

    def visit(name: str | bytes, item: Any) -> None:
        if not isinstance(name, str):  # h5py returns bytes if the name is not UTF-8
            raise FormatError(path, None, f"the name {name[:80]!r} is not UTF-8")
        # Each array's name repeats those of its groups: long names would need much memory.
        if len(name) > _LONGEST_NAME:
            raise FormatError(path, None, f"a name of more than {_LONGEST_NAME} characters")
        if isinstance(item, h5py.Dataset) and item.dtype.str in _TYPES:
            tensors[name] = _tensor(path, name, item)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)  # follows hard links only, each object once
    except (FormatError, UnsupportedTypeError):
        raise
    except Exception as error:  # the library raises almost any
        raise FormatError(path, None, f"damaged HDF5 file: {str(error)[:200]}") from error
    if not tensors:
        raise FormatError(path, None, "the file holds no arrays of numbers")
    return TensorsFile(path, "hdf5", tensors)


def _tensor(path: Path, name: str, array: Any) -> Tensor:
    kind = types.get(_TYPES[array.dtype.str])
    shape = tuple(int(n) for n in array.shape)
    nbytes = int(array.size) * kind.block_bytes
    offset = array.id.get_offset()
    if (
        array.chunks is not None
        or array.is_virtual
        or array.external
        or (offset is None and nbytes)
    ):
        raise UnsupportedTypeError(
            f"{path}: array {name!r} is compressed, in pieces or in another file; only arrays "
            "stored in one piece are supported"
        )
    start = offset or 0
    if start + nbytes > path.stat().st_size:
        raise FormatError(path, start, f"array {name!r} reaches beyond the file")
    return Tensor(kind, shape, FileRange(path, start, nbytes), name)
