"""Converts WordPiece's tokens to text: spaces between words, except before punctuation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ggmlkit.text.joining.pieces import BytesOf, Joining
from ggmlkit.text.plain_pieces import token_bytes
from ggmlkit.text.splitting.normalizers import normalizer_of
from ggmlkit.text.tokenizer_json import Carried
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType

# Places where llama.cpp leaves out a space.
_WITHOUT_SPACE = [
    (re.compile(rb" ([?!.,])"), rb"\1"),
    (re.compile(rb" ' "), rb"'"),
    (re.compile(rb" '(?=s|m|re|ve)"), rb"'"),
]
# Replacements that the tokenizers library's decoder makes in each token, in this order.
_CLEANED = [
    *((b" " + mark, mark) for mark in (b".", b"?", b"!", b",")),
    (b" ' ", b"'"),
    *((b" " + end, end) for end in (b"n't", b"'m")),
    (b" do not", b" don't"),
    *((b" " + end, end) for end in (b"'s", b"'ve", b"'re")),
]


class LlamaCppWordPieceJoining(Joining):
    """llama.cpp's joining, which keeps the space before the first word."""

    def __init__(self, vocab: Vocab, bytes_of: BytesOf) -> None:
        super().__init__(vocab, bytes_of, False)

    def join(self, tokens: Sequence[int], special: bool) -> bytes:
        """The bytes of the text that these tokens are."""
        text = super().join(tokens, special)
        for pattern, replacement in _WITHOUT_SPACE:
            text = pattern.sub(replacement, text)
        return text


def carried_wordpiece_joining(vocab: Vocab, carried: Carried) -> Joining:
    """The tokenizers library's joining; tokens found in normalized text appear normalized.

    Raises ModelError if the normalizer is not known.
    """
    normalize = normalizer_of(carried.json.get("normalizer")) or str
    shown = {t.number: normalize(t.text).encode() for t in carried.added if t.normalized}
    decoder = carried.json.get("decoder")
    cleans = isinstance(decoder, Mapping) and bool(decoder.get("cleanup"))

    def bytes_of(token: int) -> bytes:
        text = shown.get(token) or token_bytes(vocab, token)
        if int(vocab.types[token]) not in (TokenType.NORMAL, TokenType.UNUSED):
            text = b" " + text  # a word of its own
        for old, new in _CLEANED if cleans else ():
            text = text.replace(old, new)
        return text

    return Joining(vocab, bytes_of, True)
