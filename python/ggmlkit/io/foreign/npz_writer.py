"""Writes numpy's .npz archives, a part of a tensor at a time."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from ggmlkit.io.writing.progress import Reporter
from ggmlkit.io.writing.stream import Progress, write_data
from ggmlkit.tensor import Tensor

_DTYPES = {"f32": "<f4", "f16": "<f2", "f64": "<f8"}


def write_npz(
    file: BinaryIO, tensors: Mapping[str, Tensor], *, progress: Progress | None = None
) -> None:
    """Write tensors of types f16, f32 and f64 as an archive that ``np.load`` reads.

    Nothing is compressed: weights hardly shrink, and uncompressed members can be mapped.
    """
    report = Reporter(progress, tensors.values())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, tensor in tensors.items():
            report.begin(name, tensor)
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                member.write(_header(tensor))
                write_data(member, tensor)
    report.end()


def _header(tensor: Tensor) -> bytes:
    """The header of a .npy file, which precedes the array's bytes."""
    described = {
        "descr": _DTYPES[tensor.type.name],
        "fortran_order": False,
        "shape": tensor.shape,
    }
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()
