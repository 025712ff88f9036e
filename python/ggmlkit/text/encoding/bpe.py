"""BPE within words: GPT-2's byte-level BPE, and BPE of vocabularies with plain-text pieces."""

from __future__ import annotations

import re

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.text.byte_letters import BYTE_OF_LETTER
from ggmlkit.text.plain_pieces import SPACE, byte_tokens, plain_bytes
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.splitting.words import splitter
from ggmlkit.text.tokenizer_json import Carried
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType

_LINE_BREAKS = re.compile("\n+")


class BpeEncoder:
    """Text to ids and ids to bytes for a ``"gpt2"`` vocabulary.

    The compiled core splits text into words and merges them. It loads in a tenth of the time that
    the tokenizers library needs, and encodes several times faster.
    """

    def __init__(self, vocab: Vocab, carried: Carried | None = None) -> None:
        """Build from a vocabulary; ModelError if its merges and pieces do not agree.

        ``carried`` is the tokenizer.json that the vocabulary comes from. If its pre-tokenizer is
        of the family that the vocabulary names, text is split by it, not by llama.cpp's rules.
        """
        self._vocab = vocab
        family = pretokenizers.by_name(vocab.pre)
        ignore_merges = family.ignore_merges
        carried_family = None if carried is None else _family_of(carried)
        self.splits_as_carried = carried_family is not None and carried_family.own == family.own
        if carried is not None and self.splits_as_carried:
            ignore_merges = bool(carried.model.get("ignore_merges"))
        self._family = family
        self._splitter = splitter(family.own if self.splits_as_carried else family.steps)
        fallback = _core.Fallback([] if family.byte_letters else byte_tokens(vocab), -1, True)
        try:
            self._bpe = _core.Bpe(vocab.pieces, vocab.merges, ignore_merges, fallback)
        except ValueError as error:
            raise ModelError(f"the vocabulary is not a valid BPE: {error}") from error
        self._line_breaks = _line_breaks(vocab) if family.whole_line_breaks else {}

    def encode(self, text: str) -> list[int]:
        """Ids of a piece of text between added tokens; no special tokens are added."""
        if self._family.byte_letters and isinstance(self._splitter, _core.WordSplitter):
            return self._bpe.encode_bytes(text, self._splitter)
        words = self.words(text)
        if not self._line_breaks:
            return self._bpe.encode(words)
        ids: list[int] = []
        for word in words:
            whole = self._line_breaks.get(word)
            ids += self._bpe.encode([word]) if whole is None else [whole]
        return ids

    def words(self, text: str) -> list[str]:
        """The words of ``text``, within which pieces merge; in letters for bytes if byte-level."""
        family = self._family
        if family.escapes_spaces:
            text = text.replace(" ", SPACE)
        words = self._splitter.words(text, family.byte_letters)
        if family.leads_words:
            return [word if word[0] in "▁\n" else SPACE + word for word in words]
        return words

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token encodes; of a control token, those of its name."""
        piece, kind = self._vocab.pieces[token], int(self._vocab.types[token])
        if isinstance(piece, bytes):
            return piece
        if not self._family.byte_letters:
            return plain_bytes(piece, kind)
        if kind == TokenType.NORMAL:
            try:
                return bytes(BYTE_OF_LETTER[ord(letter)] for letter in piece)
            except KeyError:
                pass  # a piece in plain text, as some files store added tokens
        return piece.encode()


def _family_of(carried: Carried) -> pretokenizers.PreTokenizer | None:
    return pretokenizers.recognised(
        carried.json.get("pre_tokenizer"),
        nfc=carried.normalizes_to_nfc,
        ignore_merges=bool(carried.model.get("ignore_merges")),
    )


def _line_breaks(vocab: Vocab) -> dict[str, int]:
    """The ids of tokens that consist of line breaks only."""
    named = vocab.of_type(TokenType.NORMAL, TokenType.USER_DEFINED)
    return {text: number for text, number in named.items() if _LINE_BREAKS.fullmatch(text)}
