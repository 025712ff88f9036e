"""Reads the wire format of protocol buffers: a message's numbered fields, without a schema.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, overload

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


class Octets(Protocol):
    """Bytes, or a mapped file."""

    @overload
    def __getitem__(self, place: int, /) -> int: ...
    @overload
    def __getitem__(self, place: slice, /) -> bytes: ...


def fields(message: Octets, start: int, end: int) -> Iterator[tuple[int, int | range]]:
    """Number and value of each field of a message from ``start`` to ``end``.

    The value is a number, or the range of bytes of a text, a message, packed numbers or a number
    of fixed size.

    Raises:
        ValueError: a field reaches beyond the message, or its wire type is not known.
    """
    at = start
    while at < end:
        key, at = varint(message, at, end)
        kind = key & 7
        if kind == _VARINT:
            value, at = varint(message, at, end)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = varint(message, at, end)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {kind}")
        if size > end - at:
            raise ValueError("a field reaches beyond its message")
        yield key >> 3, range(at, at + size)
        at += size


def varint(message: Octets, at: int, end: int) -> tuple[int, int]:
    """The number at ``at``, seven bits per byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError("the message ends inside a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number longer than 64 bits")


def signed(value: int) -> int:
    """The value of an int32 or int64 field; negative numbers are stored in 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def numbers(message: Octets, value: int | range) -> Iterator[int]:
    """The numbers of a repeated field's value: one, or several packed ones."""
    if isinstance(value, int):
        yield signed(value)
        return
    at = value.start
    while at < value.stop:
        number, at = varint(message, at, value.stop)
        yield signed(number)
