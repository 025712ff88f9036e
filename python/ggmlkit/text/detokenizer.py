"""Converts a stream of tokens to text."""

from __future__ import annotations

import codecs
from collections.abc import Callable


class Detokenizer:
    """Converts tokens to text one by one; holds bytes back until they form complete characters.

    Invalid bytes become U+FFFD, so the joined pieces are the text that all bytes together decode
    to.
    """

    def __init__(self, token_bytes: Callable[[int], bytes], strip_space: bool = False) -> None:
        """``token_bytes`` gives a token's bytes; ``strip_space`` drops one leading space."""
        self._token_bytes = token_bytes
        self._strip_space = strip_space
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that this token completes; often empty, never part of a character."""
        data = self._token_bytes(token)
        if self._strip_space and data:
            data = data.removeprefix(b" ")
            self._strip_space = False
        return self._decoder.decode(data)

    def flush(self) -> str:
        """The text that is still held back; afterwards a new text can begin."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest
