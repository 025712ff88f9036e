"""Damage to bytes, and to JSON values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

_BYTES = (0, 1, 0x7F, 0x80, 0xFF)
_NUMBERS = (0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, 2**64, 10**400, -(10**30), 0.5, 1e308, -0.0,
    float("nan"), float("inf"), "", "a", "\0", "\ud800", "../../etc/passwd", "/", "x" * 5000, [],
    {}, [[]], [None], [1, 2], ["a"], [{}], {"a": 1}, {"": None}, {"content": []},
    {"type": "Sequence"},
)  # fmt: skip
_DEPTH = 100_000


def damaged(raw: bytes, rng: Random) -> bytes:
    """A copy with one to four kinds of damage, most of it near the start."""
    mutant = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(_DAMAGES)(mutant, rng)
    return bytes(mutant)


def damaged_text(raw: bytes, rng: Random) -> bytes:
    """A copy of a text with pieces moved or repeated many times."""
    if rng.random() < 0.3:
        return damaged(raw, rng)
    text = raw.decode("utf-8", "replace")
    start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    piece = text[start:end] or rng.choice("(){}[]%|~*\"'")
    times = rng.choice((0, 1, 2, 50, 300))
    place = rng.randrange(len(text) + 1)
    return (text[:place] + piece[:100] * times + text[place:]).encode("utf-8", "replace")


def damaged_template(raw: bytes, rng: Random) -> bytes:
    """A copy, or a piece, of a template: short ones take less time to compile."""
    if rng.random() < 0.8:
        start = rng.choice([m.start() for m in re.finditer(rb"\{[{%]", raw)] or [0])
        raw = raw[start : start + rng.choice((20, 50, 100))]
    return damaged_text(raw, rng)


def damaged_json(raw: bytes, rng: Random) -> bytes:
    """A JSON text whose values are of other types, out of range or nested deeply."""
    if rng.random() < 0.2:
        return damaged(raw, rng)
    try:
        value = json.loads(raw)
        for _ in range(rng.randint(1, 3)):
            value = _replaced(value, rng)
        text = json.dumps(value)
    except (ValueError, RecursionError):  # damaged before, by a fuzzer
        return damaged(raw, rng)
    if rng.random() < 0.05:
        opening, closing = rng.choice(("[]", ('{"a":', "}")))
        deep = opening * _DEPTH + "1" + closing * _DEPTH
        text = text.replace("1", deep, 1)
    return text.encode()


def damaged_header(raw: bytes, rng: Random) -> bytes:
    """A safetensors file with a damaged JSON header of the right length."""
    if rng.random() < 0.4:
        return damaged(raw, rng)
    length = int.from_bytes(raw[:8], "little")
    header = damaged_json(raw[8 : 8 + length], rng)
    return len(header).to_bytes(8, "little") + header + raw[8 + length :]


def _replaced(value: Any, rng: Random) -> Any:
    """A copy of a JSON value with one part changed, at any depth."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        return _with_a_part_replaced(value, rng)
    if isinstance(value, str) and rng.random() < 0.5:
        return value + rng.choice((" ", "0", "\0", value, "é"))
    if isinstance(value, int) and rng.random() < 0.5:
        return value + rng.choice((-1, 1, 2**31, -2 * value))
    return rng.choice(_VALUES)


def _with_a_part_replaced(value: Any, rng: Random) -> Any:
    if isinstance(value, list):
        parts = list(value)
        place = rng.randrange(len(parts))
        kind = rng.random()
        if kind < 0.1:
            del parts[place]
        elif kind < 0.2:
            parts.append(rng.choice(_VALUES))
        else:
            parts[place] = _replaced(parts[place], rng)
        return parts
    fields = dict(value)
    key = rng.choice(list(fields))
    kind = rng.random()
    if kind < 0.1:
        del fields[key]
    elif kind < 0.2:
        fields[rng.choice(("", "a", key + "x", "__metadata__", "../x"))] = fields.pop(key)
    else:
        fields[key] = _replaced(fields[key], rng)
    return fields


def _place(mutant: bytearray, rng: Random, step: int = 1) -> int:
    """A place in the file, more often near its start, where the structure is."""
    span = min(len(mutant), rng.choice((32, 256, 2048, 1 << 20)))
    return rng.randrange(max(span, 1)) // step * step


def _flip(mutant: bytearray, rng: Random) -> None:
    for _ in range(rng.randint(1, 4)):
        if mutant:
            mutant[_place(mutant, rng)] ^= 1 << rng.randrange(8)


def _extreme_byte(mutant: bytearray, rng: Random) -> None:
    if mutant:
        mutant[_place(mutant, rng)] = rng.choice(_BYTES)


def _extreme_number(mutant: bytearray, rng: Random) -> None:
    number = rng.choice(_NUMBERS)
    width = 4 if number < 2**32 and rng.random() < 0.7 else 8
    place = _place(mutant, rng, rng.choice((1, 4)))
    field = number.to_bytes(width, rng.choice(("little", "big")))
    mutant[place : place + width] = field


def _cut(mutant: bytearray, rng: Random) -> None:
    del mutant[rng.randrange(len(mutant) + 1) :]


def _splice(mutant: bytearray, rng: Random) -> None:
    """A piece taken out, or written over another."""
    start, size = _place(mutant, rng), rng.randint(1, 64)
    piece = mutant[start : start + size]
    if rng.random() < 0.5:
        del mutant[start : start + size]
    else:
        place = _place(mutant, rng)
        mutant[place : place + len(piece)] = piece


def _repeat(mutant: bytearray, rng: Random) -> None:
    start, size = _place(mutant, rng), rng.choice((1, 8, 64, 512))
    mutant[start:start] = mutant[start : start + size] * rng.choice((1, 2, 20))


_DAMAGES: tuple[Callable[[bytearray, Random], None], ...] = (
    _flip, _flip, _extreme_byte, _extreme_number, _extreme_number, _cut, _splice, _repeat,
)  # fmt: skip
