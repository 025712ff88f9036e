"""Byte-level BPE: GPT-2's, and that of Llama 3, SmolLM2 and Qwen2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import normalizers, pre_tokenizers

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.model import pretokenizers
from ggmlkit.model.byte_letters import BYTE_OF_LETTER
from ggmlkit.model.vocab import TokenType, Vocab


class ByteBpeEncoder:
    """Text to ids and ids to bytes for a ``"gpt2"`` vocabulary.

    The tokenizers library cuts text into words; the compiled core merges them, which is ready in a
    tenth of the time that the library's own model takes to build.
    """

    space_prefix = False

    def __init__(self, vocab: Vocab) -> None:
        """Build from a vocabulary; ModelError if its merges and pieces do not agree."""
        self._vocab = vocab
        self.family = pretokenizers.by_name(vocab.pre)
        try:
            self._bpe = _core.Bpe(vocab.pieces, vocab.merges, self.family.ignore_merges)
        except ValueError as error:
            raise ModelError(f"the vocabulary makes no byte-level BPE: {error}") from error
        self._words = pre_tokenizers.Sequence([_step(step) for step in self.family.steps])
        self._normalizer = normalizers.NFC() if self.family.nfc else None
        self._fixed_ids = vocab.of_type(TokenType.USER_DEFINED)
        longest_first = sorted(self._fixed_ids, key=len, reverse=True)
        self._fixed = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def encode(self, text: str) -> list[int]:
        """Ids of a stretch of text between control tokens; nothing is added."""
        if not self._fixed_ids:
            return self._merged(text)
        ids: list[int] = []
        for number, part in enumerate(self._fixed.split(text)):
            if number % 2:
                ids.append(self._fixed_ids[part])
            elif part:
                ids += self._merged(part)
        return ids

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; nothing for a control token."""
        piece, kind = self._vocab.pieces[token], int(self._vocab.types[token])
        if kind == TokenType.CONTROL:
            return b""
        if isinstance(piece, bytes):
            return piece
        if kind == TokenType.NORMAL:
            try:
                return bytes(BYTE_OF_LETTER[ord(letter)] for letter in piece)
            except KeyError:
                pass  # A piece in plain text: some files hold added tokens so.
        return piece.encode()

    def words(self, text: str) -> list[str]:
        """What ``text`` is cut into, a letter a byte; merges stay within these."""
        if self._normalizer is not None:
            text = self._normalizer.normalize_str(text)
        return [word for word, _ in self._words.pre_tokenize_str(text)]

    def _merged(self, text: str) -> list[int]:
        return self._bpe.encode(self.words(text))


def _step(step: Mapping[str, Any]) -> pre_tokenizers.PreTokenizer:
    if step["type"] == "ByteLevel":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=step["use_regex"])
    if step["type"] == "Digits":
        return pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Split(tokenizers.Regex(step["pattern"]["Regex"]), "isolated")
