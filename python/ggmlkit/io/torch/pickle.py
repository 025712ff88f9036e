"""Reads the pickle of a PyTorch checkpoint without running any code of it.

The interpreter here knows containers, numbers, text and the tensor's constructor, and nothing else.
Each opcode takes a few steps, whatever the pickle holds: a value can be nested in others very many
times, so values are never walked through, compared or hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from pickle import UnpicklingError
from typing import Any, NamedTuple

from ggmlkit.io.torch.pickle_opcodes import opcodes

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
# Bytes per element of types without a GGML type: random generators' states, masks. Checkpoints of a
# training run have them beside the weights.
OTHER_STORAGES = {
    "ByteStorage": 1,
    "BoolStorage": 1,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
}
_MAX_DIMENSIONS = 8
_MOST_ARGUMENTS = 8
_LONGEST_KEY = 200


class Storage(NamedTuple):
    """A persistent id of the pickle: one flat array in the file.

    Attributes:
        type: a GGML type, or the storage's own name if there is none.
        key: its name in the file.
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
        """The end of the window in the storage, in elements."""
        last = sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        return self.offset + (last + 1 if prod(self.shape) else 0)


class Unpickled(NamedTuple):
    """The content of a pickle.

    Attributes:
        tree: numbers, text and containers, with a :class:`Stored` for each tensor.
        storages: all storages that it mentions, by key.
        end: where the pickle ends in the text.
    """

    tree: Any
    storages: dict[str, Storage]
    end: int


def unpickled(text: bytes, start: int = 0) -> Unpickled:
    """The pickle that begins at ``start`` of a text.

    Keys of dictionaries are text, numbers and None. Other keys are left out with their values, and
    so are such members of sets; weights and settings of checkpoints never need them.

    Raises:
        UnpicklingError: the pickle is damaged, or names anything but tensors.
    """
    machine = _Machine(most_pairs=len(text) - start)
    name, place, end = "", start, start
    try:
        for opcode in opcodes(text, start):
            name, argument, place, end = opcode
            _STEPS[name](machine, argument)
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise UnpicklingError(f"{name} at {place} does not fit what is before it") from error
    return Unpickled(machine.result, machine.storages, end)


def dense_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The stride of a tensor in row order."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


class _Name(NamedTuple):
    """A name that a pickle is allowed to use: a function to call, or a type of storages."""

    call: Callable[..., Any] | None = None
    storage: str = ""


class _Machine:
    """The stack of values that the opcodes work on."""

    def __init__(self, most_pairs: int) -> None:
        self.result: Any = None
        self.storages: dict[str, Storage] = {}
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []  # the stack below each mark
        self._memo: dict[int, Any] = {}
        # Limits the pairs copied into dictionaries, as one list can be used many times.
        self._pairs_left = most_pairs

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def stop(self, _: None) -> None:
        self.result = self._stack.pop()

    def mark(self, _: None) -> None:
        self._outer.append(self._stack)
        self._stack = []

    def pop(self, _: None) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._stack = self._outer.pop()

    def pop_mark(self, _: None) -> None:
        self._stack = self._outer.pop()

    def since_mark(self) -> list[Any]:
        """Take all values pushed since the last mark from the stack."""
        found, self._stack = self._stack, self._outer.pop()
        return found

    def take(self, count: int) -> tuple[Any, ...]:
        """Take ``count`` values from the stack."""
        if count > len(self._stack):
            raise IndexError
        found = tuple(self._stack[-count:])
        del self._stack[-count:]
        return found

    def append(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise TypeError
        self._stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not dict or len(values) % 2:
            raise TypeError
        self._stack[-1].update(_entries(zip(values[::2], values[1::2], strict=True)))

    def dictionary(self, values: list[Any]) -> None:
        self.push({})
        self.set_items(values)

    def add_items(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not set:
            raise TypeError
        self._stack[-1].update(filter(_is_key, values))

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def memoize(self, _: None) -> None:
        self.put(len(self._memo))

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def find(self, module: bytes | str, name: bytes | str) -> None:
        """Push the function or storage type that a pickle names."""
        words = (_text(module), _text(name))
        kind = words[1] if words[0] == "torch" else ""
        if words in _FUNCTIONS:
            self.push(_Name(call=_FUNCTIONS[words]))
        elif kind in STORAGES or kind in OTHER_STORAGES:
            self.push(_Name(storage=STORAGES.get(kind, kind)))
        else:
            shown = ".".join(words)[:200]
            raise UnpicklingError(f"it names {shown}, which is not part of a tensor")

    def reduce(self, _: None) -> None:
        """Call a function that was named."""
        name, given = self.take(2)
        if type(name) is not _Name or name.call is None or type(given) is not tuple:
            raise TypeError
        if len(given) > _MOST_ARGUMENTS:
            raise UnpicklingError(f"a call with {len(given)} arguments")
        self.push(name.call(self, *given))

    def build(self, _: None) -> None:
        """Ignore attributes of a dictionary, such as a state dictionary's metadata."""
        target, _state = self.take(2)
        if type(target) is not dict:
            raise UnpicklingError("it sets attributes")
        self.push(target)

    def find_storage(self, _: None) -> None:
        pid = self._stack.pop()
        match pid:
            # Before PyTorch 1.6 there is a sixth item, the storage that this one is a view of: None
            # in all but the very first versions.
            case ("storage", _Name(storage=str(kind)), str(key), str(), int(elements)) | (
                "storage",
                _Name(storage=str(kind)),
                str(key),
                str(),
                int(elements),
                None,
            ) if kind and len(key) <= _LONGEST_KEY and _is_size(elements):
                self.push(self.storages.setdefault(key, Storage(kind, key, elements)))
            case _:
                raise UnpicklingError("a storage with an invalid description")

    def ordered(self, pairs: object = ()) -> dict[Any, Any]:
        """Makes a ``collections.OrderedDict``."""
        if type(pairs) not in (list, tuple):
            raise TypeError
        assert isinstance(pairs, (list, tuple))
        self._pairs_left -= len(pairs)
        if self._pairs_left < 0:
            raise UnpicklingError("it makes too many dictionaries of one list")
        if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
            raise TypeError
        return _entries(pairs)

    def tensor(
        self, storage: object, offset: object, shape: object, stride: object, *_: object
    ) -> Stored:
        """Does what ``torch._utils._rebuild_tensor_v2`` does."""
        if type(storage) is not Storage or type(shape) is not tuple:
            raise UnpicklingError("a tensor without storage or shape")
        if type(stride) is not tuple or len(stride) != len(shape):
            raise UnpicklingError("a tensor whose shape and stride do not agree")
        if len(shape) > _MAX_DIMENSIONS:
            raise UnpicklingError(f"a tensor of {len(shape)} dimensions")
        if not all(map(_is_size, (offset, *shape, *stride))):
            raise UnpicklingError("a tensor with a negative or impossible size")
        assert isinstance(offset, int)
        # The stride along an axis of one element has no effect.
        dense = dense_stride(shape)
        used = tuple(d if n == 1 else s for n, s, d in zip(shape, stride, dense, strict=True))
        return Stored(storage, offset, shape, used)

    def parameter(self, data: object, *_: object) -> object:
        """Does what ``torch._utils._rebuild_parameter`` does."""
        return data


def _entries(pairs: Iterable[Any]) -> dict[Any, Any]:
    return {key: value for key, value in pairs if _is_key(key)}


def _is_key(value: object) -> bool:
    """Whether a value is cheap to hash, and an attacker can't choose many with the same hash."""
    if type(value) is int:
        return -(1 << 63) <= value < 1 << 64
    return value is None or type(value) in (str, bool)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogatepass")
    if type(value) is not str:
        raise TypeError
    return value


def _whole(line: bytes) -> int | bool:
    """A number or bool of protocol 0."""
    return line == b"01" if line in (b"00", b"01") else int(line)


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _Machine.ordered,
    ("torch._utils", "_rebuild_tensor_v2"): _Machine.tensor,
    ("torch._utils", "_rebuild_parameter"): _Machine.parameter,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda _, __: None,
    "FRAME": lambda _, __: None,
    "STOP": _Machine.stop,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "INT": lambda m, line: m.push(_whole(line)),
    "BININT": _Machine.push,
    "BININT1": _Machine.push,
    "BININT2": _Machine.push,
    "LONG": lambda m, line: m.push(int(line.removesuffix(b"L"))),
    "LONG1": lambda m, raw: m.push(int.from_bytes(raw, "little", signed=True)),
    "LONG4": lambda m, raw: m.push(int.from_bytes(raw, "little", signed=True)),
    "FLOAT": lambda m, line: m.push(float(line)),
    "BINFLOAT": _Machine.push,
    "UNICODE": lambda m, line: m.push(line.decode("raw-unicode-escape")),
    "SHORT_BINUNICODE": lambda m, raw: m.push(_text(raw)),
    "BINUNICODE": lambda m, raw: m.push(_text(raw)),
    "BINUNICODE8": lambda m, raw: m.push(_text(raw)),
    "SHORT_BINSTRING": lambda m, raw: m.push(_text(raw)),
    "BINSTRING": lambda m, raw: m.push(_text(raw)),
    "SHORT_BINBYTES": _Machine.push,
    "BINBYTES": _Machine.push,
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.push(m.take(1)),
    "TUPLE2": lambda m, _: m.push(m.take(2)),
    "TUPLE3": lambda m, _: m.push(m.take(3)),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "APPEND": lambda m, _: m.append(list(m.take(1))),
    "APPENDS": lambda m, _: m.append(m.since_mark()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "DICT": lambda m, _: m.dictionary(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items(list(m.take(2))),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "EMPTY_SET": lambda m, _: m.push(set()),
    "ADDITEMS": lambda m, _: m.add_items(m.since_mark()),
    "GLOBAL": lambda m, lines: m.find(*lines),
    "STACK_GLOBAL": lambda m, _: m.find(*m.take(2)),
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.find_storage,
    "PUT": lambda m, line: m.put(int(line)),
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": lambda m, line: m.get(int(line)),
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
}
