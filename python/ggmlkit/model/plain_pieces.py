"""Pieces that are written as plain text: a ``▁`` for a space, and ``<0x0A>`` for a byte."""

from __future__ import annotations

from ggmlkit.model.vocab import Vocab, byte_value
from ggmlkit.model.vocab_keys import TokenType

SPACE = "▁"
_BYTES = {f"<0x{byte:02X}>": byte for byte in range(256)}


def byte_tokens(vocab: Vocab) -> list[tuple[int, int]]:
    """Bytes, and the tokens that stand for them."""
    return [(_BYTES[text], number) for text, number in vocab.find(_BYTES.keys()).items()]


def plain_bytes(piece: str, kind: int) -> bytes:
    """The bytes that a piece stands for."""
    if kind == TokenType.BYTE and (byte := byte_value(piece)) is not None:
        return bytes([byte])
    return piece.replace(SPACE, " ").encode()
