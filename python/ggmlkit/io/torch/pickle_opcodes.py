"""Decodes the opcodes of a pickle that make plain values; all others are refused.

INST, OBJ, NEWOBJ and EXT are among the refused, as they make other objects.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pickle import UnpicklingError
from typing import Any, NamedTuple

_MOST_OPCODES = 5_000_000  # a tensor takes about 40
_LONGEST_NUMBER = 1000  # bytes, or digits

_WITHOUT_ARGUMENT = {
    "(": "MARK", ")": "EMPTY_TUPLE", ".": "STOP", "0": "POP", "1": "POP_MARK", "N": "NONE",
    "R": "REDUCE", "Q": "BINPERSID", "]": "EMPTY_LIST", "a": "APPEND", "b": "BUILD", "d": "DICT",
    "e": "APPENDS", "l": "LIST", "s": "SETITEM", "t": "TUPLE", "u": "SETITEMS", "}": "EMPTY_DICT",
    "\x85": "TUPLE1", "\x86": "TUPLE2", "\x87": "TUPLE3", "\x88": "NEWTRUE", "\x89": "NEWFALSE",
    "\x8f": "EMPTY_SET", "\x90": "ADDITEMS", "\x93": "STACK_GLOBAL", "\x94": "MEMOIZE",
}  # fmt: skip
# Opcodes followed by a number, by its struct format; then those where the number counts bytes that
# follow.
_NUMBERS = {
    "<B": {"\x80": "PROTO", "K": "BININT1", "q": "BINPUT", "h": "BINGET"},
    "<H": {"M": "BININT2"},
    "<I": {"r": "LONG_BINPUT", "j": "LONG_BINGET"},
    "<i": {"J": "BININT"},
    ">d": {"G": "BINFLOAT"},
    "<Q": {"\x95": "FRAME"},
}
_COUNTED = {
    "<B": {"U": "SHORT_BINSTRING", "C": "SHORT_BINBYTES", "\x8c": "SHORT_BINUNICODE",
           "\x8a": "LONG1"},
    "<I": {"X": "BINUNICODE", "B": "BINBYTES", "T": "BINSTRING", "\x8b": "LONG4"},
    "<Q": {"\x8d": "BINUNICODE8"},
}  # fmt: skip
_LINES = {
    1: {"F": "FLOAT", "I": "INT", "L": "LONG", "V": "UNICODE", "g": "GET", "p": "PUT"},
    2: {"c": "GLOBAL"},
}
_SHORT = frozenset({"FLOAT", "INT", "LONG", "GET", "PUT", "LONG1", "LONG4"})


class _Kind(NamedTuple):
    """The argument after an opcode: a number, the bytes that it counts, or lines."""

    name: str
    number: struct.Struct | None = None
    is_counted: bool = False
    lines: int = 0


def _kinds() -> dict[int, _Kind]:
    kinds = {ord(code): _Kind(name) for code, name in _WITHOUT_ARGUMENT.items()}
    for table, is_counted in ((_NUMBERS, False), (_COUNTED, True)):
        for form, names in table.items():
            number = struct.Struct(form)
            kinds |= {ord(code): _Kind(name, number, is_counted) for code, name in names.items()}
    for lines, names in _LINES.items():
        kinds |= {ord(code): _Kind(name, lines=lines) for code, name in names.items()}
    return kinds


_KINDS = _kinds()


def opcodes(text: bytes, start: int) -> Iterator[tuple[str, Any, int, int]]:
    """The opcodes from ``start`` to the first STOP: name, argument, place and end of each.

    Names are those of Python's ``pickletools``; an argument is None, a number, bytes, or two lines.

    Raises UnpicklingError for any other opcode, for too many opcodes, and if there is no STOP.
    """
    at = start
    for _ in range(_MOST_OPCODES):
        place = at
        if at >= len(text):
            raise UnpicklingError(f"it ends at {at} without a STOP")
        kind = _KINDS.get(text[at])
        if kind is None:
            raise UnpicklingError(f"opcode {_name(text[at])} at {at}")
        name, form, is_counted, lines = kind
        argument: Any = None
        at += 1
        if form is not None:
            if at + form.size > len(text):
                raise UnpicklingError(f"it ends inside {name} at {place}")
            (argument,) = form.unpack_from(text, at)
            at += form.size
        if is_counted:
            if argument > len(text) - at:
                raise UnpicklingError(f"{name} at {place} reaches beyond the end")
            argument, at = text[at : at + argument], at + argument
        elif lines:
            argument, at = _lines(text, at, lines)
        if name in _SHORT and len(argument) > _LONGEST_NUMBER:
            raise UnpicklingError(f"a number of {len(argument)} bytes at {place}")
        yield name, argument, place, at
        if name == "STOP":
            return
    raise UnpicklingError(f"more than {_MOST_OPCODES} opcodes")


def _lines(text: bytes, at: int, count: int) -> tuple[Any, int]:
    """``count`` lines from ``at``, and where the last one ends."""
    found = []
    for _ in range(count):
        end = text.find(b"\n", at)
        if end < 0:
            raise UnpicklingError(f"a line without end at {at}")
        found.append(text[at:end])
        at = end + 1
    return (found[0] if count == 1 else found), at


def _name(code: int) -> str:
    import pickletools  # only for errors

    names = {found.code: found.name for found in pickletools.opcodes}
    return names.get(chr(code), f"{code:#x}")
