"""PyTorch's zip archives: ``NAME/data.pkl`` and the storages ``NAME/data/KEY``, uncompressed."""

from __future__ import annotations

import struct
import zipfile
from itertools import pairwise
from pathlib import Path

from ggmlkit.errors import FormatError
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.torch.pickle import Storage, Unpickled, unpickled

MAX_PICKLE = 64 << 20
_LOCAL_HEADER = 30  # bytes before a member's name


class TorchArchive:
    """The zip file: its pickle, and the byte ranges of its members.

    Raises FormatError if the archive is damaged or the pickle names anything but tensors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError) as error:
            raise FormatError(path, None, f"damaged zip archive: {error}") from error
        indexes = [m.filename for m in members if m.filename.endswith("/data.pkl")]
        if len(indexes) != 1:
            raise FormatError(path, None, _reason_not_checkpoint({m.filename for m in members}))
        self._folder = indexes[0].removesuffix("data.pkl")
        self._members = {m.filename: m for m in members}
        self._size = path.stat().st_size
        self._check_places(members)
        if self._folder + "byteorder" in self._members:
            order = self._range("byteorder")
            if order.size > len("little\n") or order().tobytes().strip() != b"little":
                raise FormatError(path, None, "big-endian PyTorch checkpoints are not supported")
        self.content = self._unpickled()

    def storage(self, storage: Storage) -> FileRange:
        """The range of a storage's bytes in the file."""
        return self._range(f"data/{storage.key}")

    def _unpickled(self) -> Unpickled:
        member = self._range("data.pkl")
        if member.size > MAX_PICKLE:
            raise FormatError(self.path, member.offset, "data.pkl is too large to be an index")
        text = member().tobytes()
        try:
            return unpickled(text)
        except Exception as error:  # a broken pickle can raise almost anything
            reason = f"unsafe or damaged pickle: {error}"
            raise FormatError(self.path, member.offset, reason) from error

    def _range(self, name: str) -> FileRange:
        member = self._members.get(self._folder + name)
        if member is None:
            raise FormatError(self.path, None, f"the archive has no member {name!r}")
        at = member.header_offset
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise FormatError(self.path, at, f"member {name!r} is compressed or encrypted")
        with self.path.open("rb") as file:
            file.seek(at)
            local = file.read(_LOCAL_HEADER)
        if len(local) < _LOCAL_HEADER or local[:4] != b"PK\x03\x04":
            raise FormatError(self.path, at, f"member {name!r} has no local header")
        name_length, extra_length = struct.unpack_from("<HH", local, 26)
        start = at + _LOCAL_HEADER + name_length + extra_length
        if start + member.file_size > self._size:
            raise FormatError(self.path, at, f"member {name!r} reaches beyond the file")
        return FileRange(self.path, start, member.file_size)

    def _check_places(self, members: list[zipfile.ZipInfo]) -> None:
        """Refuse overlapping members, with which a small file could produce much data."""
        placed = sorted(members, key=lambda member: member.header_offset)
        if placed and not 0 <= placed[0].header_offset <= placed[-1].header_offset < self._size:
            raise FormatError(self.path, None, "the archive's list of members points outside it")
        for member, following in pairwise(placed):
            if (
                member.header_offset + _LOCAL_HEADER + member.compress_size
                > following.header_offset
            ):
                raise FormatError(
                    self.path,
                    following.header_offset,
                    f"members {member.filename!r} and {following.filename!r} overlap",
                )


def _reason_not_checkpoint(members: set[str]) -> str:
    """Why the archive is not a checkpoint."""
    if "model.weights.h5" in members:
        return (
            "a Keras model (.keras), whose weights are an HDF5 file inside: unzip it and give "
            "model.weights.h5"
        )
    if members and all(name.endswith(".npy") for name in members):
        return "arrays that numpy saved (.npz), not a model"
    return "no data.pkl: this is not a PyTorch checkpoint"
