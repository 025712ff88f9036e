"""The few fields of a SentencePiece ``tokenizer.model`` (a protobuf message) that matter here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.foreign.protobuf import fields, signed

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
    space_as_suffix: bool = False


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
        raise ConversionError(
            f"{path}: only SentencePiece models of type BPE and Unigram are supported"
        )
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
        if number == 3:
            kind = value
        elif number == 24:
            model.space_as_suffix = bool(value)
        elif number == 40:
            model.unk_id = signed(value)
        elif number == 41:
            model.bos_id = signed(value)
        elif number == 42:
            model.eos_id = signed(value)
        elif number == 43:
            model.pad_id = signed(value)
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
    """Field numbers and values of a message; all but plain numbers come as their bytes."""
    for number, value in fields(message, 0, len(message)):
        yield number, value if isinstance(value, int) else message[value.start : value.stop]
