"""GPT-2's letters: one for each byte, so that a vocabulary can store any bytes as text."""

from __future__ import annotations


def _letters() -> dict[int, int]:
    """The byte of each letter, by the letter's code point.

    Printable Latin-1 characters stand for themselves; the other bytes, in order, have the code
    points from 256 on.
    """
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    rest = [byte for byte in range(256) if byte not in plain]
    return {**{byte: byte for byte in plain}, **{256 + n: byte for n, byte in enumerate(rest)}}


BYTE_OF_LETTER = _letters()
_LETTER_OF_BYTE = {byte: chr(letter) for letter, byte in BYTE_OF_LETTER.items()}


def spelled(data: bytes) -> str:
    """The bytes written as letters."""
    return "".join(map(_LETTER_OF_BYTE.__getitem__, data))
