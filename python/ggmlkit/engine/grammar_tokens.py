"""A vocabulary in the form that llguidance takes."""

from __future__ import annotations

import weakref
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggmlkit.text.tokenizer import Tokenizer


class GrammarTokens:
    """The bytes of a model's tokens, and one token more, behind them, that ends a text.

    The model's own ending tokens are not used for that: there may be none, or several.

    Args:
        vocab: logits in a row; tokens beyond those of the tokenizer have no text.

    Attributes:
        tokens: the bytes of each; control tokens have those of their texts.
        special_token_ids: tokens that no text is made of.
        eos_token_id: the one that ends a text.
        bos_token_id: none.
    """

    def __init__(self, tokenizer: Tokenizer, vocab: int) -> None:
        ids = range(min(vocab, tokenizer.vocab_size))
        self.tokens = [tokenizer.token_bytes(id, special=True) for id in ids]
        self.tokens += [b""] * (vocab - len(self.tokens)) + [b"<end>"]
        self.special_token_ids = [id for id in ids if not tokenizer.token_bytes(id)]
        self.special_token_ids.append(vocab)
        self.eos_token_id = vocab
        self.bos_token_id = None
        self._tokenizer = weakref.ref(tokenizer)  # which these are kept with

    def __call__(self, text: bytes | str) -> list[int]:
        """Tokens whose bytes are a text: the tokenizer's own where it changes no white space."""
        data = text.encode() if isinstance(text, str) else text
        tokenizer = self._tokenizer()
        if tokenizer is not None:
            ids = tokenizer.encode(data.decode("utf-8", "replace"), add_special=False)
            if b"".join(self.tokens[id] for id in ids if id < len(self.tokens)) == data:
                return [id for id in ids if id < len(self.tokens)]
        return self._greedy(data)

    def _greedy(self, data: bytes) -> list[int]:
        """The longest token at each place; a byte that begins none is left out."""
        ids: list[int] = []
        at = 0
        while at < len(data):
            for size in range(min(self._longest, len(data) - at), 0, -1):
                id = self._by_bytes.get(data[at : at + size])
                if id is not None:
                    ids.append(id)
                    at += size
                    break
            else:
                at += 1
        return ids

    @cached_property
    def _by_bytes(self) -> dict[bytes, int]:
        special = set(self.special_token_ids)
        return {text: id for id, text in enumerate(self.tokens) if text and id not in special}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._by_bytes), default=0)
