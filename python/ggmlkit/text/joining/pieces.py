"""Converts tokens to text, one by one or together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ggmlkit.text.splitting.compiled_normalizer import SpaceRules
from ggmlkit.text.tokenizer_json import Carried
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType

# Returns the bytes of one token; of a control token or the unknown token, those of its name.
BytesOf = Callable[[int], bytes]
_NAMED = (TokenType.CONTROL, TokenType.UNKNOWN)


class Joining:
    """Joins the bytes of tokens, without the text's leading space.

    Attributes:
        strips_first_space: whether the leading space is left out.
    """

    def __init__(self, vocab: Vocab, bytes_of: BytesOf, strips_first_space: bool) -> None:
        self._types = vocab.types
        self._bytes_of = bytes_of
        self.strips_first_space = strips_first_space

    def token_bytes(self, token: int, special: bool) -> bytes:
        """The bytes of a token; empty for control and unknown tokens unless ``special``."""
        return b"" if not special and self._kind(token) in _NAMED else self._bytes_of(token)

    def join(self, tokens: Sequence[int], special: bool) -> bytes:
        """The bytes of the tokens' text."""
        text = b"".join(self.token_bytes(token, special) for token in tokens)
        return text.removeprefix(b" ") if self.strips_first_space else text

    def _kind(self, token: int) -> int:
        return int(self._types[token])


class SentencePieceJoining(Joining):
    """SentencePiece's own joining: it removes one space from each piece until some text appears."""

    def __init__(self, vocab: Vocab, bytes_of: BytesOf, spaces: SpaceRules) -> None:
        super().__init__(vocab, bytes_of, spaces.before)
        self._strips = spaces.before or spaces.after or spaces.collapse
        self._strips_again = spaces.collapse

    def join(self, tokens: Sequence[int], special: bool) -> bytes:
        """The bytes of the tokens' text."""
        parts = [self.token_bytes(token, special) for token in tokens]
        for number, token in enumerate(tokens if self._strips else ()):
            kind = self._kind(token)
            if kind in (TokenType.UNKNOWN, TokenType.BYTE):
                break
            if not parts[number]:
                continue
            parts[number] = parts[number].removeprefix(b" ")
            if parts[number] or not self._strips_again:
                break
        return b"".join(parts)


class MetaspaceJoining(Joining):
    """The tokenizers library's joining for ``▁``: the text's first piece loses all its spaces."""

    def join(self, tokens: Sequence[int], special: bool) -> bytes:
        """The bytes of the tokens' text."""
        parts = [self.token_bytes(token, special) for token in tokens]
        first = next((number for number, part in enumerate(parts) if part), None)
        if first is not None and self._kind(tokens[first]) in (TokenType.NORMAL, TokenType.UNUSED):
            parts[first] = parts[first].replace(b" ", b"")
        return b"".join(parts)


def carried_joining(vocab: Vocab, bytes_of: BytesOf, carried: Carried) -> Joining:
    """The joining that a tokenizer.json's decoder does for a vocabulary with ``▁``."""
    kind = MetaspaceJoining if carried.decodes_metaspace else Joining
    return kind(vocab, bytes_of, carried.strips_first_space)
