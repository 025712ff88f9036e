"""Writes gguf, v3 unless asked, a tensor at a time."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ggmlkit.errors import ConversionError
from ggmlkit.io.atomic import replacing
from ggmlkit.io.base import ARRAY_OF
from ggmlkit.io.gguf import (
    ARRAY,
    BOOL,
    DEFAULT_ALIGNMENT,
    MAGIC,
    MAX_DIMENSIONS,
    NUMPY_CODES,
    STRING,
)
from ggmlkit.io.stream import Progress, write_tensors
from ggmlkit.tensor import Tensor

_U32, _I32, _F32, _U64, _I64 = 4, 5, 6, 10, 11
_TYPE_OF_CODE = {np.dtype(code): number for number, code in NUMPY_CODES.items()}

# Whole numbers are written as u32 unless negative or too large; these keys differ.
_TYPE_OF_KEY = {
    "split.no": 2,
    "split.count": 2,
    "split.tensors.count": _I32,
    "tokenizer.ggml.token_type": ARRAY_OF + _I32,
    "tokenizer.ggml.scores": ARRAY_OF + _F32,
}


def write_gguf(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    *,
    version: int = 3,
    value_types: Mapping[str, int] | None = None,
    stored_values: Mapping[str, bytes] | None = None,
    threads: int | None = 1,
    progress: Progress | None = None,
) -> None:
    """Write a little-endian gguf file, replacing ``path`` when it is complete.

    Args:
        path: the file.
        tensors: by name, in the order to write; read one at a time.
        metadata: by key; ``general.alignment`` is obeyed.
        version: 1, 2 or 3.
        value_types: as :class:`ModelFile` has them, for the keys whose type is to be kept.
        stored_values: as :meth:`ModelFile.stored_values` gives them, for the keys whose value is
            unchanged; copied, unless version 1 is asked for.
        threads: that read, convert and write at once; None for all the process may use.
        progress: called before each tensor, and at the end.

    Raises:
        ConversionError: something gguf has no place for: a legacy block layout, an odd value.
        OSError: the disk is full, the folder can't be written.
    """
    if version not in (1, 2, 3):
        raise ConversionError(f"gguf version {version} can't be written; 1, 2 and 3 can")
    alignment = int(metadata.get("general.alignment", DEFAULT_ALIGNMENT))
    if not 0 < alignment < 1 << 31 or alignment & (alignment - 1):
        raise ConversionError(f"general.alignment is {alignment}, which is no power of two")
    header = _Header(version)
    header.start(len(tensors), len(metadata))
    stored = (stored_values or {}) if version > 1 else {}
    for key, value in metadata.items():
        if key in stored:
            header.stored_pair(key, stored[key])
        else:
            header.pair(key, value, (value_types or {}).get(key))
    offset = 0
    places = []
    for name, tensor in tensors.items():
        header.tensor_entry(name, tensor, offset)
        places.append((offset, name, tensor))
        offset += tensor.nbytes + -tensor.nbytes % alignment
    start = len(header.bytes) + -len(header.bytes) % alignment
    with replacing(path) as file:
        file.write(header.bytes)
        file.truncate(start + offset)  # what no tensor fills stays zero
        placed = [(start + at, name, tensor) for at, name, tensor in places]
        write_tensors(file, placed, threads=threads, progress=progress)


class _Header:
    """The header as it grows."""

    def __init__(self, version: int) -> None:
        self.bytes = bytearray()
        self._version = version
        self._count_form = "<I" if version == 1 else "<Q"

    def start(self, tensors: int, pairs: int) -> None:
        self.bytes += MAGIC + struct.pack("<I", self._version)
        self._count(tensors)
        self._count(pairs)

    def pair(self, key: str, value: Any, kind: int | None) -> None:
        self._text(key)
        fitting = None if kind is None else _packed_as(value, kind)
        if kind is None or fitting is None:
            # No type to keep, or one that the value has outgrown since it was read.
            kind = _natural_type(key, value)
        try:
            self._value(value, kind)
        except (ValueError, OverflowError, TypeError, struct.error) as error:
            raise ConversionError(f"{key} = {value!r} can't be written: {error}") from None

    def stored_pair(self, key: str, value: bytes) -> None:
        self._text(key)
        self.bytes += value

    def tensor_entry(self, name: str, tensor: Tensor, offset: int) -> None:
        if tensor.type.generation != "gguf":
            raise ConversionError(
                f"tensor {name} has the legacy layout {tensor.type}, which gguf doesn't have; "
                f"convert it with Tensor.astype()"
            )
        if len(tensor.shape) > MAX_DIMENSIONS:
            raise ConversionError(f"tensor {name} has {len(tensor.shape)} sizes; gguf allows 4")
        self._text(name)
        self.bytes += struct.pack("<I", len(tensor.shape))
        for size in reversed(tensor.shape):
            self._count(size)
        self.bytes += struct.pack("<IQ", tensor.type.ggml_id, offset)

    def _count(self, number: int) -> None:
        try:
            self.bytes += struct.pack(self._count_form, number)
        except struct.error:
            raise ConversionError(f"{number} is too large for gguf v{self._version}") from None

    def _text(self, text: str | bytes) -> None:
        raw = text.encode() if isinstance(text, str) else text
        self._count(len(raw))
        self.bytes += raw

    def _value(self, value: Any, kind: int) -> None:
        if kind < ARRAY_OF:
            self.bytes += struct.pack("<I", kind)
            if kind == STRING:
                self._text(value)
            else:
                self.bytes += _numbers([value], kind)
        else:
            self.bytes += struct.pack("<I", ARRAY)
            self._elements(value, kind - ARRAY_OF)

    def _elements(self, values: Any, kind: int) -> None:
        self.bytes += struct.pack("<I", kind)
        self._count(len(values))
        if kind == STRING:
            for text in values:
                self._text(text)
        elif kind == ARRAY:
            for inner in values:
                self._elements(inner, _natural_type("", inner) - ARRAY_OF)
        else:
            self.bytes += _numbers(values, kind)


def _numbers(values: Any, kind: int) -> bytes:
    """Numbers in a GGUF type; OverflowError or ValueError where they don't fit it."""
    if kind == BOOL:
        return np.asarray(values, np.bool_).tobytes()
    dtype = np.dtype(NUMPY_CODES[kind]).newbyteorder("<")
    source = np.asarray(values)
    if dtype.kind in "iu":
        if source.size and source.dtype.kind not in "iub":
            raise ValueError("a fraction where a whole number belongs")
        limits = np.iinfo(dtype)
        if source.size and not (limits.min <= int(source.min()) <= int(source.max()) <= limits.max):
            raise OverflowError(f"out of range for {dtype.name}")
    return source.astype(dtype).tobytes()


def _packed_as(value: Any, kind: int) -> int | None:
    """``kind`` if ``value`` can be written as that, else ``None``."""
    is_array = isinstance(value, (list, tuple)) or (
        isinstance(value, np.ndarray) and value.ndim > 0
    )
    if is_array != (kind >= ARRAY_OF):
        return None
    element = kind % ARRAY_OF
    if element in (STRING, ARRAY):
        parts = value if is_array else [value]
        wanted = (str, bytes) if element == STRING else (list, tuple, np.ndarray)
        return kind if all(isinstance(part, wanted) for part in parts) else None
    if element != BOOL and element not in NUMPY_CODES:
        return None
    try:
        _numbers(value if is_array else [value], element)
    except (ValueError, OverflowError, TypeError):
        return None
    return kind


def _natural_type(key: str, value: Any) -> int:
    """The GGUF type to give a value; plus ARRAY_OF for an array, with that of its elements.

    Raises ConversionError for what gguf has no type for.
    """
    usual = _TYPE_OF_KEY.get(key)
    if usual is not None and _packed_as(value, usual) is not None:
        return usual
    if isinstance(value, (str, bytes)):
        return STRING
    if isinstance(value, (list, tuple)):
        return ARRAY_OF + _element_type(key, value)
    array = np.asarray(value)
    kind = BOOL if array.dtype == np.bool_ else _TYPE_OF_CODE.get(array.dtype)
    if isinstance(value, (bool, np.bool_, np.generic, np.ndarray)):
        if kind is None:
            raise ConversionError(f"{key} is a {array.dtype} array, which gguf has no type for")
        return kind + ARRAY_OF if array.ndim else kind
    if isinstance(value, float):
        return _F32
    if isinstance(value, int):
        return _whole_type(key, value, value)
    raise ConversionError(f"{key} is a {type(value).__name__}, which gguf has no type for")


def _element_type(key: str, values: Iterable[Any]) -> int:
    """The GGUF type that all elements of a list share."""
    elements = list(values)
    if not elements or all(isinstance(v, (str, bytes)) for v in elements):
        return STRING
    if all(isinstance(v, (list, tuple, np.ndarray)) for v in elements):
        return ARRAY
    if all(isinstance(v, (bool, np.bool_)) for v in elements):
        return BOOL
    if all(isinstance(v, (int, np.integer)) for v in elements):
        # Token types and the like: signed, as every other writer does it.
        low, high = int(min(elements)), int(max(elements))
        return _I32 if low >= -(1 << 31) and high < 1 << 31 else _whole_type(key, low, high)
    if all(isinstance(v, (int, float, np.number)) for v in elements):
        return _F32
    raise ConversionError(f"the elements of {key} are of several kinds; gguf arrays have one")


def _whole_type(key: str, low: int, high: int) -> int:
    for kind in (_U32, _I32, _U64, _I64):
        limits = np.iinfo(NUMPY_CODES[kind])
        if limits.min <= low and high <= limits.max:
            return kind
    raise ConversionError(f"{key} = {high} is too large for gguf")
