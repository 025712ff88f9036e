"""Converts vocabulary text between the old containers and gguf.

The old files store plain bytes: a space for SentencePiece's ``▁``, one raw byte for a byte token,
``" ⁇ "`` for the unknown token, and an empty text for control tokens. gguf keeps the pieces' own
names and stores a type for each.
"""

from __future__ import annotations

from collections.abc import Sequence

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6

_UNKNOWN_TEXT = " ⁇ ".encode()
_SPECIAL = {
    0: (_UNKNOWN_TEXT, "<unk>", UNKNOWN),
    1: (b"", "<s>", CONTROL),
    2: (b"", "</s>", CONTROL),
}
_FIRST_BYTE_TOKEN = 3
_SPACE = "▁"


def to_gguf(entries: Sequence[bytes]) -> tuple[list[str | bytes], list[int]]:
    """Pieces and token types as in gguf; an entry that is not UTF-8 stays bytes."""
    pieces: list[str | bytes] = []
    kinds: list[int] = []
    for number, raw in enumerate(entries):
        piece, kind = _piece(number, raw)
        pieces.append(piece)
        kinds.append(kind)
    return pieces, kinds


def _piece(number: int, raw: bytes) -> tuple[str | bytes, int]:
    special = _SPECIAL.get(number)
    if special is not None and raw == special[0]:
        return special[1], special[2]
    byte = number - _FIRST_BYTE_TOKEN
    if 0 <= byte < 256 and raw == bytes([byte]):
        return f"<0x{byte:02X}>", BYTE
    try:
        return raw.decode().replace(" ", _SPACE), NORMAL
    except UnicodeDecodeError:
        return raw, NORMAL


def from_gguf(pieces: Sequence[str | bytes], kinds: Sequence[int] | None) -> list[bytes]:
    """The entries to write; without token types, names such as ``<0x0A>`` mark byte tokens."""
    return [
        _entry(number, piece, None if kinds is None else int(kinds[number]))
        for number, piece in enumerate(pieces)
    ]


def _entry(number: int, piece: str | bytes, kind: int | None) -> bytes:
    if isinstance(piece, bytes):
        return piece
    special = _SPECIAL.get(number)
    if special is not None and kind in (None, special[2]) and piece == special[1]:
        return special[0]
    if kind == UNKNOWN:
        return _UNKNOWN_TEXT
    if kind in (None, BYTE) and (byte := _byte(piece)) is not None:
        return byte
    return piece.replace(_SPACE, " ").encode()


def _byte(piece: str) -> bytes | None:
    if len(piece) != 6 or not piece.startswith("<0x") or piece[5] != ">":
        return None
    try:
        return bytes.fromhex(piece[3:5])
    except ValueError:
        return None
