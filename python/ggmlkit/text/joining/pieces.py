"""How tokens become text again, one by one and together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ggmlkit.text.splitting.compiled_normalizer import SpaceRules
from ggmlkit.text.tokenizer_json import Carried
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType

# Bytes of one token, the name's for a control token or the unknown one.
BytesOf = Callable[[int], bytes]
_NAMED = (TokenType.CONTROL, TokenType.UNKNOWN)


class Joining:
    """Tokens' bytes one after the other, without the text's leading space.

    Attributes:
        strips_first_space: whether that space is left out.
    """

    def __init__(self, vocab: Vocab, bytes_of: BytesOf, strips_first_space: bool) -> None:
        self._types = vocab.types
        self._bytes_of = bytes_of
        self.strips_first_space = strips_first_space

    def token_bytes(self, token: int, special: bool) -> bytes:
        """The bytes of a token; control tokens and the unknown one have some if ``special``."""
        return b"" if not special and self._kind(token) in _NAMED else self._bytes_of(token)

    def join(self, tokens: Sequence[int], special: bool) -> bytes:
        """The bytes of the text that these tokens are."""
        text = b"".join(self.token_bytes(token, special) for token in tokens)
        return text.removeprefix(b" ") if self.strips_first_space else text

    def _kind(self, token: int) -> int:
        return int(self._types[token])


class SentencePieceJoining(Joining):
    """SentencePiece's own: it takes one space from each piece until there is a text."""

    def __init__(self, vocab: Vocab, bytes_of: BytesOf, spaces: SpaceRules) -> None:
        super().__init__(vocab, bytes_of, spaces.before)
        self._strips = spaces.before or spaces.after or spaces.collapse
        self._strips_again = spaces.collapse

    def join(self, tokens: Sequence[int], special: bool) -> bytes:
        """The bytes of the text that these tokens are."""
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
    """The tokenizers library's for ``▁``: it takes all spaces from the first piece of a text."""

    def join(self, tokens: Sequence[int], special: bool) -> bytes:
        """The bytes of the text that these tokens are."""
        parts = [self.token_bytes(token, special) for token in tokens]
        first = next((number for number, part in enumerate(parts) if part), None)
        if first is not None and self._kind(tokens[first]) in (TokenType.NORMAL, TokenType.UNUSED):
            parts[first] = parts[first].replace(b" ", b"")
        return b"".join(parts)


def carried_joining(vocab: Vocab, bytes_of: BytesOf, carried: Carried) -> Joining:
    """That of the decoder of a tokenizer.json for a vocabulary with ``▁``."""
    kind = MetaspaceJoining if carried.decodes_metaspace else Joining
    return kind(vocab, bytes_of, carried.strips_first_space)
