"""Chooses the reader of a file by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable

START = 264  # bytes that are enough to recognize every container

Test = Callable[[bytes], bool]


def reader_of(start: bytes) -> str | None:
    """Module and function, such as ``"gguf.parts:open_gguf"``, that open such a file."""
    return next((reader for test, reader in _READERS if test(start)), None)


def refusal(start: bytes, name: str) -> str | None:
    """Why a file with this start or name can't be read; None if its format is not known."""
    if stem := _TENSORFLOW_DATA.fullmatch(name):
        return f"the data of a TensorFlow checkpoint: give its index, {stem[1]}.index"
    return next((reason for test, reason in _REFUSED if test(start)), None)


def _begins(*magics: bytes) -> Test:
    return lambda start: start.startswith(magics)


def _is_safetensors(start: bytes) -> bool:
    """Whether it begins with the u64 length of a JSON header, then an opening brace."""
    return start[8:9] == b"{"


def _is_msgpack(start: bytes) -> bool:
    """Whether it is a dictionary whose first key is text, or a pair whose first half is texts."""
    lead = start[:1]
    if b"\x81" <= lead <= b"\x8f":
        return _is_text(start[1:2])
    if lead == b"\xde":
        return _is_text(start[3:4])
    if lead == b"\xdf":
        return _is_text(start[5:6])
    return lead == b"\x92" and b"\x91" <= start[1:2] <= b"\x9f" and _is_text(start[2:3])


def _is_text(lead: bytes) -> bool:
    return b"\xa0" <= lead <= b"\xbf" or lead == b"\xd9"


def _is_onnx(start: bytes) -> bool:
    """Whether it is protobuf: field 1, ONNX's IR version (3 since 2017), then another field."""
    if start[:1] != b"\x08" or not b"\x03" <= start[1:2] <= b"\x20":
        return False
    return start[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x28", b"\x32", b"\x3a", b"\x42")


def _is_tensorflow_index(start: bytes) -> bool:
    """Whether it is a table of sorted keys: the first is empty, its value is a short header."""
    return len(start) > 3 and start[:2] == b"\0\0" and 0 < start[2] < 64 and start[3] == 8


def _is_saved_model(start: bytes) -> bool:
    """Whether it is protobuf: field 1, version 1 of SavedModel; field 2, a graph."""
    return start[:3] == b"\x08\x01\x12"


def _is_imatrix_dat(start: bytes) -> bool:
    from ggmlkit.io.imatrix_dat import is_imatrix_dat

    return is_imatrix_dat(start)


# The first match counts. Modules are imported only when needed, because imports delay the first
# token of a model.
_READERS: tuple[tuple[Test, str], ...] = (
    (_begins(b"GGUF"), "gguf.parts:open_gguf"),
    (_begins(b"algg"), "legacy.ggla:LoraFile"),
    (_begins(b"lmgg", b"fmgg", b"tjgg", b"nsgg"), "legacy.reader:LegacyFile"),
    (_begins(b"PK\x03\x04"), "torch.checkpoint:open_torch"),
    (_begins(b"\x89HDF\r\n\x1a\n"), "foreign.hdf5:open_hdf5"),
    (_is_safetensors, "foreign.safetensors:open_safetensors"),
    (_begins(b"\x80"), "torch.checkpoint:open_torch"),  # a pickle: PyTorch before 1.6
    (_is_msgpack, "foreign.flax:open_flax"),
    (_is_onnx, "foreign.onnx:open_onnx"),
    (_is_tensorflow_index, "foreign.tensorflow:open_tensorflow"),
    (_is_imatrix_dat, "imatrix_dat:ImatrixDatFile"),
)
# Files of raw bytes, recognized by name only.
_TENSORFLOW_DATA = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
_REFUSED: tuple[tuple[Test, str], ...] = (
    (_begins(b"\x93NUMPY"), "one array that numpy saved (.npy), not a model"),
    (
        lambda start: start[257:262] == b"ustar",
        "a tar archive: if it is a checkpoint of PyTorch before 0.2, load it with torch.load and "
        "save it again",
    ),
    (
        _is_saved_model,
        "a TensorFlow SavedModel, a graph: its weights are the checkpoint beside it, "
        "variables/variables.index",
    ),
)
