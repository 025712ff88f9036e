"""Converts text to token ids and back, with the vocabulary of a model file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from operator import index as as_integer
from typing import Any

from ggmlkit.arguments import path_text, shown, whole
from ggmlkit.arguments import text as checked_text
from ggmlkit.errors import ArgumentTypeError, ModelError, OutOfRangeError
from ggmlkit.io import open as open_file
from ggmlkit.text.detokenizer import Detokenizer
from ggmlkit.text.end_tokens import end_ids, fim_ids
from ggmlkit.text.joining.surroundings import surroundings
from ggmlkit.text.special_ids import special_id, special_texts
from ggmlkit.text.tokenizer_parts import parts_of
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType


class Tokenizer:
    """Encodes and decodes text with the tokenization that the model was trained with.

    Attributes:
        bos_id: id of the token that begins a text, or None.
        eos_id: id of the token that ends a text, or None.
        unknown_id: id of the token for text that the vocabulary can't encode, or None.
        eog_ids: ids of all tokens after which generation ends.
        fim_ids: ids of fill-in-the-middle tokens by gguf's names: ``fim_pre``, ``fim_suf``,
            ``fim_mid``, ``fim_pad``, ``fim_rep`` (repository), ``fim_sep`` (file); those there are.
        vocab_size: number of tokens.
        add_bos: whether ``encode`` puts ``bos_id`` before a text.
        add_eos: whether ``encode`` puts ``eos_id`` after a text.
        special_texts: texts of special tokens by their names in chat templates.
        chat_template: the file's jinja2 template, or None.
    """

    def __init__(self, vocab: Vocab, metadata: Mapping[str, Any]) -> None:
        """Use ``from_metadata`` or ``from_file``."""
        size = len(vocab.pieces)
        self._vocab = vocab
        self._pipeline, self._joining = parts_of(vocab, metadata)
        self.vocab_size = size
        self.bos_id = special_id(vocab, metadata, "bos")
        self.eos_id = special_id(vocab, metadata, "eos")
        self.unknown_id = special_id(vocab, metadata, "unknown")
        self._around = surroundings(vocab, metadata)
        self.add_bos = self.bos_id in self._around.before
        self.add_eos = self.eos_id in self._around.after
        special = vocab.of_type(TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)
        self.eog_ids = end_ids(special, vocab.pieces, metadata)
        self.fim_ids = fim_ids(special, metadata, size)
        self.special_texts = special_texts(vocab, metadata)
        template = metadata.get("tokenizer.chat_template")
        self.chat_template: str | None = template if isinstance(template, str) else None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """From ``tokenizer.ggml.*`` keys; raises ModelError if they don't define a tokenizer."""
        if not isinstance(metadata, Mapping):
            raise ArgumentTypeError(f"metadata must be a mapping by key, not {shown(metadata)}")
        return cls(Vocab.from_metadata(metadata), metadata)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """From any model file that ``gk.open`` reads, also one with a vocabulary only.

        Raises FormatError if the file is damaged, ModelError if it has no usable vocabulary.
        """
        path_text(path)
        with open_file(path) as file:
            try:
                return cls.from_metadata(file.metadata)
            except ModelError as error:
                raise ModelError(f"{os.fspath(path)}: {error}") from error

    def encode(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of ``text``.

        Args:
            text: any text; lone surrogates, which UTF-8 can't encode, count as U+FFFD.
            add_special: add the tokens that the model expects before and after a text.
            parse_special: encode texts of control tokens, such as ``<|im_end|>``, as these tokens;
                otherwise they are plain text.

        Raises:
            ArgumentTypeError: ``text`` is not a ``str``.
        """
        ids = self._pipeline.encode(_valid(checked_text(text, "text")), parse_special)
        return [*self._around.before, *ids, *self._around.after] if add_special else ids

    def decode(self, ids: Iterable[int], *, special: bool = False) -> str:
        """Text of tokens; invalid UTF-8 becomes U+FFFD.

        ``special``: whether control tokens and the unknown token appear by their texts, such as
        ``</s>``; otherwise they are left out.

        Raises:
            OutOfRangeError: an id is outside the vocabulary; an IndexError.
            ArgumentTypeError: an id is not an integer.
        """
        return self.decode_bytes(ids, special=special).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int], *, special: bool = False) -> bytes:
        """Bytes of tokens, without the leading space of the text."""
        return self._joining.join(self._checked_all(ids), special)

    def token_bytes(self, token: int, *, special: bool = False) -> bytes:
        """Bytes of one token at any place of a text: a leading space is kept.

        Control tokens and the unknown token have none; with ``special``, those of their texts.
        """
        return self._joining.token_bytes(self._checked(token), special)

    def token_text(self, token: int) -> str | bytes:
        """The token's text in the vocabulary, such as ``▁the`` or ``<s>``."""
        return self._vocab.pieces[self._checked(token)]

    def token_id(self, text: str) -> int | None:
        """Id of the token with this text in the vocabulary, or None."""
        return self._ids.get(checked_text(text, "text"))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return self._vocab.ids()

    def is_control(self, token: int) -> bool:
        """Whether the token is a control token, which plain text is never encoded to."""
        return int(self._vocab.types[self._checked(token)]) == TokenType.CONTROL

    def stream(self, beginning: bool = False, *, special: bool = False) -> Detokenizer:
        """A decoder for a stream of tokens.

        ``beginning``: whether the tokens begin a text, as those of ``encode`` do, and don't
        continue a prompt; then the text's leading space is left out. ``special``: as in
        ``decode``.
        """
        token_bytes = partial(self.token_bytes, special=special)
        return Detokenizer(token_bytes, beginning and self._joining.strips_first_space)

    def _checked(self, token: int) -> int:
        found = whole(token, "a token")
        if not 0 <= found < self.vocab_size:
            raise OutOfRangeError(f"token {found} is outside the vocabulary of {self.vocab_size}")
        return found

    def _checked_all(self, tokens: Iterable[int]) -> list[int]:
        if isinstance(tokens, (str, bytes, bytearray)) or not isinstance(tokens, Iterable):
            raise ArgumentTypeError(f"ids must be a list of token ids, not {shown(tokens)}")
        try:
            found = list(map(as_integer, tokens))
        except TypeError:
            found = [self._checked(token) for token in tokens]
        if found and not 0 <= min(found) <= max(found) < self.vocab_size:
            found = [self._checked(token) for token in found]
        return found


def _valid(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
