"""Pieces that are plain text, with ``▁`` for a space and names such as ``<0x0A>`` for bytes."""

from __future__ import annotations

from ggmlkit.text.vocab import Vocab, byte_value
from ggmlkit.text.vocab_keys import TokenType

SPACE = "▁"
_BYTES = {f"<0x{byte:02X}>": byte for byte in range(256)}


def byte_tokens(vocab: Vocab, kind: TokenType | None = None) -> list[tuple[int, int]]:
    """Pairs of a byte and the token for it; only tokens of type ``kind``, if given."""
    return [
        (_BYTES[text], number)
        for text, number in vocab.find(_BYTES.keys()).items()
        if kind in (None, int(vocab.types[number]))
    ]


def plain_bytes(piece: str, kind: int) -> bytes:
    """The bytes that a piece encodes."""
    if kind == TokenType.BYTE and (byte := byte_value(piece)) is not None:
        return bytes([byte])
    return piece.replace(SPACE, " ").encode()


def token_bytes(vocab: Vocab, token: int) -> bytes:
    """The bytes that a token of such a vocabulary encodes; of a control token, its name's."""
    piece, kind = vocab.pieces[token], int(vocab.types[token])
    return piece if isinstance(piece, bytes) else plain_bytes(piece, kind)
