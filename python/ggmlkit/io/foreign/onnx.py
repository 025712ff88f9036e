"""ONNX models: the initialisers of a graph, located in the file or beside it, and their users.

A model is a protocol buffer; the field numbers are those of onnx.proto. The graph is never run. The
values of an initialiser are raw bytes, or in a file beside the model, or (small ones) lists of
numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ggmlkit import types
from ggmlkit.errors import FormatError
from ggmlkit.io.file_names import is_plain_file_name
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.foreign.protobuf import Octets, fields, numbers
from ggmlkit.io.foreign.tensors_file import TensorsFile
from ggmlkit.io.mapped_file import mapped_while_read
from ggmlkit.tensor import Tensor

# TensorProto.DataType; those without a GGML type (bool, unsigned, complex, …) are not weights.
_TYPES = {1: "f32", 3: "i8", 5: "i16", 6: "i32", 7: "i64", 10: "f16", 11: "f64", 16: "bf16"}
# Fields with lists of numbers (float_data, int32_data, int64_data, double_data): their types.
_LISTS = {4: "<f4", 5: "<i4", 7: "<i8", 10: "<f8"}
_MOST_DIMENSIONS = 8
_LONGEST_LIST = 1 << 16  # of varints, decoded one by one
_EXTERNAL = 1
_SCOPES = "pkg.torch.onnx.name_scopes"


class Node(NamedTuple):
    """An operation of the graph.

    Attributes:
        operator: ``"MatMul"`` …
        name: such as ``/model/layers.0/mlp/up_proj/MatMul``.
        inputs: names of tensors.
        outputs: names of tensors.
        scopes: PyTorch exporter's text about the modules around the operation, innermost last.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scopes: str


class OnnxFile(TensorsFile):
    """An open model; its tensors are the graph's initialisers.

    Attributes:
        nodes: the operations that use an initialiser, in order.
    """

    def __init__(
        self, path: Path, version: int, tensors: dict[str, Tensor], nodes: list[Node]
    ) -> None:
        super().__init__(path, "onnx", tensors, version)
        self.nodes = nodes


def open_onnx(path: str | os.PathLike[str]) -> OnnxFile:
    """Open an ONNX model; initialisers of types without a GGML type (bool, uint8) are left out.

    Raises FormatError for a damaged file, or external data outside the folder.
    """
    path = Path(path)
    version, graphs = 0, []
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    with mapped_while_read(path) as file:
        text = file.buffer
        try:
            for number, value in fields(text, 0, file.size):
                if number == 1 and isinstance(value, int):
                    version = value
                elif number == 7 and isinstance(value, range):
                    graphs.append(value)
            for graph in graphs:
                for number, value in fields(text, graph.start, graph.stop):
                    if number == 1 and isinstance(value, range):
                        nodes.append(_node(text, value))
                    elif number == 5 and isinstance(value, range):
                        _add(path, tensors, _initialiser(text, value))
        except (ValueError, IndexError) as error:
            raise FormatError(path, None, f"damaged ONNX model: {error}") from error
    file.close()
    return OnnxFile(path, version, tensors, [n for n in nodes if tensors.keys() & set(n.inputs)])


@dataclass
class _Initialiser:
    """A TensorProto whose values are not read yet."""

    place: int
    name: str = ""
    type: int = 0
    shape: list[int] = field(default_factory=list)
    raw: range | None = None
    listed: dict[int, list[int | range]] = field(default_factory=dict)
    external: dict[str, str] = field(default_factory=dict)
    is_external: bool = False


def _initialiser(text: Octets, message: range) -> _Initialiser:
    found = _Initialiser(message.start)
    for number, value in fields(text, message.start, message.stop):
        if number == 1:
            found.shape += numbers(text, value)
            if len(found.shape) > _MOST_DIMENSIONS:
                raise ValueError(f"a tensor of {len(found.shape)} dimensions")
        elif number == 2 and isinstance(value, int):
            found.type = value
        elif number == 8 and isinstance(value, range):
            found.name = _text(text, value)
        elif number == 9 and isinstance(value, range):
            found.raw = value
        elif number == 13 and isinstance(value, range):
            key, entry = _pair(text, value)
            found.external[key] = entry
        elif number == 14:
            found.is_external = value == _EXTERNAL
        elif number in _LISTS:
            found.listed.setdefault(number, []).append(value)
    return found


def _add(path: Path, tensors: dict[str, Tensor], found: _Initialiser) -> None:
    if found.type not in _TYPES:
        return
    if not found.name or found.name in tensors:
        reason = f"the initialiser {found.name!r} has no name of its own"
        raise FormatError(path, found.place, reason)
    if any(not 0 <= n < 1 << 48 for n in found.shape):
        raise FormatError(path, found.place, f"initialiser {found.name!r} has an impossible shape")
    kind = types.get(_TYPES[found.type])
    nbytes = prod(found.shape) * kind.block_bytes
    data = _values(path, found, nbytes)
    tensors[found.name] = Tensor(kind, tuple(found.shape), data, found.name)


def _values(path: Path, found: _Initialiser, nbytes: int) -> Callable[[], npt.NDArray[np.uint8]]:
    """A function that reads an initialiser's data; FormatError if the size is wrong."""
    if found.is_external:
        return _external(path, found, nbytes)
    if found.raw is None and found.listed:
        return _list(path, found, nbytes)
    raw = found.raw or range(0)
    if len(raw) != nbytes:
        reason = f"initialiser {found.name!r} has {len(raw)} bytes for {nbytes}"
        raise FormatError(path, found.place, reason)
    return FileRange(path, raw.start, nbytes)


def _external(path: Path, found: _Initialiser, nbytes: int) -> FileRange:
    location = found.external.get("location")
    if not is_plain_file_name(location):
        reason = f"{location!r} of {found.name!r} is not the name of a file beside it"
        raise FormatError(path, found.place, reason)
    usual = {"offset": 0, "length": nbytes}
    digits = [found.external.get(key, str(value)) for key, value in usual.items()]
    if not all(len(d) < 20 and d.isascii() and d.isdigit() for d in digits):
        reason = f"the offset or length of {found.name!r} is not a number"
        raise FormatError(path, found.place, reason)
    offset, length = map(int, digits)
    data_file = path.parent / location
    size = data_file.stat().st_size if data_file.is_file() else 0
    if length != nbytes or offset + length > size:
        reason = f"{nbytes} bytes of {found.name!r} are not at {offset} of {data_file}"
        raise FormatError(path, found.place, reason)
    return FileRange(data_file, offset, nbytes)


@dataclass(frozen=True)
class _Listed:
    """Data of numbers that were stored one by one, already decoded."""

    values: npt.NDArray[np.uint8]

    def __call__(self) -> npt.NDArray[np.uint8]:
        return self.values


def _list(path: Path, found: _Initialiser, nbytes: int) -> Callable[[], npt.NDArray[np.uint8]]:
    """The data of a list of numbers: floats are raw bytes, integers are a short list of varints."""
    ((number, values), *others) = found.listed.items()
    stored = np.dtype(_LISTS[number])
    first = values[0]
    if others or len(values) > 1 or not isinstance(first, range):
        raise FormatError(path, found.place, f"initialiser {found.name!r} is a list in pieces")
    is_float = stored.kind == "f"
    if is_float and len(first) == nbytes:
        return FileRange(path, first.start, nbytes)
    if is_float or len(first) > _LONGEST_LIST:
        reason = f"initialiser {found.name!r} is not a list of its type"
        raise FormatError(path, found.place, reason)
    packed = FileRange(path, first.start, len(first))().tobytes()
    item = types.get(_TYPES[found.type]).block_bytes
    # float16 and bfloat16 are stored as the integers of their bits.
    whole = np.fromiter(numbers(packed, range(len(packed))), np.int64).astype(f"<i{item}")
    if whole.nbytes != nbytes:
        raise FormatError(path, found.place, f"initialiser {found.name!r} has {whole.size} values")
    return _Listed(whole.view(np.uint8))


def _node(text: Octets, message: range) -> Node:
    operator = name = scopes = ""
    inputs, outputs = [], []
    for number, value in fields(text, message.start, message.stop):
        if isinstance(value, int):
            continue
        if number == 1:
            inputs.append(_text(text, value))
        elif number == 2:
            outputs.append(_text(text, value))
        elif number == 3:
            name = _text(text, value)
        elif number == 4:
            operator = _text(text, value)
        elif number == 9:
            key, entry = _pair(text, value)
            scopes = entry if key == _SCOPES else scopes
    return Node(operator, name, tuple(inputs), tuple(outputs), scopes)


def _pair(text: Octets, message: range) -> tuple[str, str]:
    """A StringStringEntryProto."""
    parts = {1: "", 2: ""}
    for number, value in fields(text, message.start, message.stop):
        if number in parts and isinstance(value, range):
            parts[number] = _text(text, value)
    return parts[1], parts[2]


def _text(text: Octets, value: range) -> str:
    return str(text[value.start : value.stop], "utf-8")
