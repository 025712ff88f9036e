"""Writes PyTorch checkpoints that ``torch.load`` reads, without PyTorch."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

from ggmlkit.io.torch.pickle import STORAGE_OF, dense_stride
from ggmlkit.io.writing.progress import Reporter
from ggmlkit.io.writing.stream import Progress, write_data
from ggmlkit.tensor import Tensor


def write_torch(
    file: BinaryIO, tensors: Mapping[str, Tensor], *, progress: Progress | None = None
) -> None:
    """Write tensors (f32, f16, bf16, …) as a checkpoint that ``torch.load`` reads.

    Tensors are written one by one; only one tensor's data is in memory.
    """
    report = Reporter(progress, tensors.values())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickled(tensors))
        archive.writestr("archive/byteorder", b"little")
        for key, (name, tensor) in enumerate(tensors.items()):
            report.begin(name, tensor)
            member = zipfile.ZipInfo(f"archive/data/{key}")
            member.extra = _alignment(archive.start_dir, member.filename)
            with archive.open(member, "w", force_zip64=True) as out:
                write_data(out, tensor)
        archive.writestr("archive/version", b"3\n")
    report.end()


def _alignment(position: int, name: str) -> bytes:
    """An extra field that aligns the member's data to a multiple of 64, good for mmap."""
    zip64_extra = 20
    fixed = position + 30 + len(name) + zip64_extra + 4
    padding = -fixed % 64
    return struct.pack("<HH", 0x4246, padding) + bytes(padding)


def _pickled(tensors: Mapping[str, Tensor]) -> bytes:
    """The pickle (protocol 2) of a dictionary of tensors, with storages as persistent ids."""
    parts = [b"\x80\x02}("]
    for key, (name, tensor) in enumerate(tensors.items()):
        storage = STORAGE_OF[tensor.type.name]
        parts += [
            _text(name),
            b"ctorch._utils\n_rebuild_tensor_v2\n(",  # GLOBAL, MARK
            b"(" + _text("storage") + f"ctorch\n{storage}\n".encode(),
            _text(str(key)) + _text("cpu") + _integer(tensor.size) + b"tQ",  # TUPLE, BINPERSID
            _integer(0),
            b"(" + b"".join(map(_integer, tensor.shape)) + b"t",
            b"(" + b"".join(map(_integer, dense_stride(tensor.shape))) + b"t",
            b"\x89ccollections\nOrderedDict\n)R",  # no gradient; no hooks
            b"tR",
        ]
    return b"".join([*parts, b"u."])


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def _integer(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
