"""The pickle of a PyTorch checkpoint, read without running anything.

It is interpreted by an unpickler that knows containers, numbers, text and the tensor constructor,
and nothing else. What it makes and calls has no attributes that could be set, so that a pickle can
change neither a tensor once it is checked nor the library's own functions.
"""

from __future__ import annotations

import collections
import io
import pickle
import pickletools
from math import prod
from typing import Any, NamedTuple

STORAGES = {
    "DoubleStorage": "f64",
    "FloatStorage": "f32",
    "HalfStorage": "f16",
    "BFloat16Storage": "bf16",
    "LongStorage": "i64",
    "IntStorage": "i32",
    "ShortStorage": "i16",
    "CharStorage": "i8",
}
STORAGE_OF = {type_name: storage for storage, type_name in STORAGES.items()}
# Bytes an element of what no GGML type holds: states of random generators, masks. A checkpoint of
# a training run has them beside the weights.
OTHER_STORAGES = {
    "ByteStorage": 1,
    "BoolStorage": 1,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
}
# What a dictionary of tensors needs. No INST, OBJ, NEWOBJ or EXT: those make other objects.
_OPCODE_NAMES = """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1
    LONG4 FLOAT BINFLOAT UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINSTRING BINSTRING
    SHORT_BINBYTES BINBYTES EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS
    EMPTY_DICT DICT SETITEM SETITEMS EMPTY_SET ADDITEMS GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
"""
_OPCODES = frozenset(_OPCODE_NAMES.split())
_MAX_DIMENSIONS = 8


class Storage(NamedTuple):
    """A persistent id of the pickle: one flat array in the file.

    Attributes:
        type: a GGML type, or the storage's own name where there is none.
        key: what the file calls it.
        elements: their number.
    """

    type: str
    key: str
    elements: int


class Stored(NamedTuple):
    """A tensor of the pickle: a strided window of a storage, in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def end(self) -> int:
        """Where in the storage the window ends."""
        last = sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        return self.offset + (last + 1 if prod(self.shape) else 0)


class Unpickled(NamedTuple):
    """What a pickle holds.

    Attributes:
        tree: numbers, text and containers, with a :class:`Stored` for each tensor.
        storages: all that it mentions, by key.
        end: where in the text it ends.
    """

    tree: Any
    storages: dict[str, Storage]
    end: int


def unpickled(text: bytes, start: int = 0) -> Unpickled:
    """The pickle that begins at ``start`` of a text.

    Raises:
        Exception: of any kind: the pickle is damaged, or asks for more than tensors.
    """
    end = _checked_end(text, start)
    unpickler = _Unpickler(io.BytesIO(text[start:end]), encoding="utf-8")
    tree = unpickler.load()
    return Unpickled(tree, unpickler.storages, end)


def _checked_end(text: bytes, start: int) -> int:
    """Where the pickle ends, all its opcodes being among those that are safe."""
    stream = io.BytesIO(text)
    stream.seek(start)
    largest, end = 0, start
    for opcode, argument, position in pickletools.genops(stream):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"opcode {opcode.name} at {position}")
        if opcode.name.endswith("PUT"):
            largest = max(largest, abs(int(argument or 0)))
        end = (position or 0) + 1
    # The memo is a table as long as its largest index.
    if largest > end - start:
        raise pickle.UnpicklingError(f"memo index {largest}")
    return end


def dense_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The stride of a tensor in row order."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


class _RebuiltTensor:
    """``torch._utils._rebuild_tensor_v2``; no function, whose attributes a pickle could set."""

    __slots__ = ()

    def __call__(
        self, storage: object, offset: object, shape: object, stride: object, *_: object
    ) -> Stored:
        if not isinstance(storage, Storage) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("a tensor without storage or shape")
        if not isinstance(stride, tuple) or len(stride) != len(shape):
            raise pickle.UnpicklingError("a tensor whose shape and stride do not agree")
        if len(shape) > _MAX_DIMENSIONS:
            raise pickle.UnpicklingError(f"a tensor of {len(shape)} dimensions")
        if not all(type(n) is int and 0 <= n < 1 << 62 for n in (offset, *shape, *stride)):
            raise pickle.UnpicklingError("a tensor with a negative or senseless size")
        assert isinstance(offset, int)
        # The stride along an axis of one element means nothing.
        dense = dense_stride(shape)
        used = tuple(d if n == 1 else s for n, s, d in zip(shape, stride, dense, strict=True))
        return Stored(storage, offset, shape, used)


class _Parameter:
    """``torch._utils._rebuild_parameter``."""

    __slots__ = ()

    def __call__(self, data: object, *_: object) -> object:
        return data


class _Unpickler(pickle.Unpickler):
    """Knows the constructors of a state dictionary and refuses every other name."""

    def __init__(self, stream: io.BytesIO, encoding: str = "utf-8") -> None:
        super().__init__(stream, encoding=encoding)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuiltTensor()
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _Parameter()
        # Strings: nothing that could be called.
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module == "torch" and name in OTHER_STORAGES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which holds no tensors")

    def persistent_load(self, pid: object) -> Storage:
        match pid:
            # Files of before PyTorch 1.6 add what the storage is a view of: None in all but the
            # first of them.
            case ("storage", str(kind), str(key), str(), int(elements)) | (
                "storage",
                str(kind),
                str(key),
                str(),
                int(elements),
                None,
            ) if kind in STORAGE_OF or kind in OTHER_STORAGES:
                return self.storages.setdefault(key, Storage(kind, key, elements))
        raise pickle.UnpicklingError(f"unknown storage {str(pid)[:80]}")
