"""The few fields of a SentencePiece ``tokenizer.model`` (a protobuf message) that matter here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ggmlkit.errors import ConversionError, FormatError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_UNIGRAM, _BPE = 1, 2


@dataclass
class SentencePieceModel:
    """Pieces with scores and types (numbered as gguf numbers them), and the special ids."""

    pieces: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    unk_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    pad_id: int = -1
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    charsmap: bytes = b""
    is_bpe: bool = False


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """The model in ``path``, BPE or Unigram.

    Raises FormatError if damaged, ConversionError if it is of another type.
    """
    model = SentencePieceModel()
    kind = _UNIGRAM
    try:
        for number, value in _fields(path.read_bytes()):
            if number == 1 and isinstance(value, bytes):
                _read_piece(model, value)
            elif number == 2 and isinstance(value, bytes):
                kind = _read_trainer(model, value, kind)
            elif number == 3 and isinstance(value, bytes):
                _read_normalizer(model, value)
    except (IndexError, struct.error, ValueError) as error:
        raise FormatError(path, None, f"damaged SentencePiece model: {error}") from error
    if not model.pieces:
        raise FormatError(path, None, "the SentencePiece model has no pieces")
    if kind not in (_UNIGRAM, _BPE):
        raise ConversionError(f"{path}: only SentencePiece models of type BPE are supported")
    model.is_bpe = kind == _BPE
    return model


def _read_piece(model: SentencePieceModel, message: bytes) -> None:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(message):
        if number == 1 and isinstance(value, bytes):
            text = value.decode("utf-8")
        elif number == 2 and isinstance(value, bytes):
            (score,) = struct.unpack("<f", value)
        elif number == 3 and isinstance(value, int):
            kind = value
    if not NORMAL <= kind <= BYTE:
        raise ValueError(f"piece of unknown type {kind}")
    model.pieces.append(text)
    model.scores.append(score)
    model.types.append(kind)


def _read_trainer(model: SentencePieceModel, message: bytes, kind: int) -> int:
    for number, value in _fields(message):
        if not isinstance(value, int):
            continue
        signed = value - (1 << 64) if value >> 63 else value  # int32 fields are sign-extended
        if number == 3:
            kind = value
        elif number == 40:
            model.unk_id = signed
        elif number == 41:
            model.bos_id = signed
        elif number == 42:
            model.eos_id = signed
        elif number == 43:
            model.pad_id = signed
    return kind


def _read_normalizer(model: SentencePieceModel, message: bytes) -> None:
    for number, value in _fields(message):
        if number == 2 and isinstance(value, bytes):
            model.charsmap = value
        elif number == 3:
            model.add_dummy_prefix = bool(value)
        elif number == 4:
            model.remove_extra_whitespaces = bool(value)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a message; fixed-size numbers come as their bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if size > len(message) - at:
            raise ValueError("a field reaches beyond its message")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number longer than 64 bits")
