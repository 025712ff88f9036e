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
    """A persistent id of the pickle: one flat array in the archive."""

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


def stored_tensors(text: bytes) -> dict[str, Stored]:
    """The tensors of the dictionary that a pickle holds; other things in it are left out.

    Raises:
        Exception: of any kind: the pickle is damaged, or asks for more than tensors.
    """
    for opcode, argument, position in pickletools.genops(text):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"opcode {opcode.name} at {position}")
        # The memo is a table as long as its largest index.
        if opcode.name.endswith("PUT") and not 0 <= int(argument or 0) <= len(text):
            raise pickle.UnpicklingError(f"memo index {argument} at {position}")
    entries = _Unpickler(io.BytesIO(text), encoding="utf-8").load()
    if not isinstance(entries, dict):
        return {}
    # An OrderedDict may have an attribute called items.
    pairs = dict.items(entries)
    return {n: v for n, v in pairs if isinstance(n, str) and isinstance(v, Stored)}


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

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuiltTensor()
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _Parameter()
        if module == "torch" and name in STORAGES:
            return STORAGES[name]  # a string: nothing that could be called
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which holds no tensors")

    def persistent_load(self, pid: object) -> Storage:
        match pid:
            case ("storage", str(kind), str(key), str(), int(elements)) if kind in STORAGE_OF:
                return Storage(kind, key, elements)
        raise pickle.UnpicklingError(f"unknown storage {str(pid)[:80]}")
