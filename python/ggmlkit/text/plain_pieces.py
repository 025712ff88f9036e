"""Pieces that are written as plain text: a ``▁`` for a space, and ``<0x0A>`` for a byte."""

from __future__ import annotations

from ggmlkit.text.vocab import Vocab, byte_value
from ggmlkit.text.vocab_keys import TokenType

SPACE = "▁"
_BYTES = {f"<0x{byte:02X}>": byte for byte in range(256)}


def byte_tokens(vocab: Vocab, kind: TokenType | None = None) -> list[tuple[int, int]]:
    """Bytes, and the tokens that stand for them, of one type if told."""
    return [
        (_BYTES[text], number)
        for text, number in vocab.find(_BYTES.keys()).items()
        if kind in (None, int(vocab.types[number]))
    ]


def plain_bytes(piece: str, kind: int) -> bytes:
    """The bytes that a piece stands for."""
    if kind == TokenType.BYTE and (byte := byte_value(piece)) is not None:
        return bytes([byte])
    return piece.replace(SPACE, " ").encode()


def token_bytes(vocab: Vocab, token: int) -> bytes:
    """The bytes that a token of such a vocabulary stands for, its name's for a control token."""
    piece, kind = vocab.pieces[token], int(vocab.types[token])
    return piece if isinstance(piece, bytes) else plain_bytes(piece, kind)
