"""Text to token ids and back, from the vocabulary inside a model file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any

from ggmlkit.errors import ModelError
from ggmlkit.model.added_tokens import of_vocabulary
from ggmlkit.model.carried import MERGE_ORDER, Carried
from ggmlkit.model.detokenizer import Detokenizer
from ggmlkit.model.end_tokens import end_ids
from ggmlkit.model.pipeline import (
    Pipeline,
    carried_byte_pipeline,
    carried_pipeline,
    plain_pipeline,
    sentencepiece_pipeline,
    spaced_pipeline,
)
from ggmlkit.model.special_ids import special_id, special_texts
from ggmlkit.model.surroundings import surroundings
from ggmlkit.model.token_fixups import stripping_by_model
from ggmlkit.model.tokenizer_bpe import BpeEncoder
from ggmlkit.model.tokenizer_spm import SpmEncoder
from ggmlkit.model.vocab import Vocab, charsmap
from ggmlkit.model.vocab_keys import PREFIX, TokenType


class Tokenizer:
    """Encodes and decodes text as the model was trained to see it.

    Attributes:
        bos_id: token that begins a text, or None.
        eos_id: token that ends a text, or None.
        unknown_id: token for what the vocabulary cannot say, or None.
        eog_ids: every token after which generation ends.
        vocab_size: number of tokens.
        add_bos: whether ``encode`` puts ``bos_id`` before a text.
        add_eos: whether ``encode`` puts ``eos_id`` after a text.
        special_texts: texts of special tokens by the names that chat templates know them by.
        chat_template: the file's jinja2 template, or None.
    """

    def __init__(self, vocab: Vocab, metadata: Mapping[str, Any]) -> None:
        """Use ``from_metadata`` or ``from_file``."""
        size = len(vocab.pieces)
        self._vocab = vocab
        self._pipeline, self._bytes_of = _parts(vocab, metadata)
        self.vocab_size = size
        self.bos_id = special_id(vocab, metadata, "bos")
        self.eos_id = special_id(vocab, metadata, "eos")
        self.unknown_id = special_id(vocab, metadata, "unknown")
        self._around = surroundings(vocab, metadata)
        self.add_bos = self.bos_id in self._around.before
        self.add_eos = self.eos_id in self._around.after
        self.eog_ids = end_ids(vocab, metadata)
        self.special_texts = special_texts(vocab, metadata)
        template = metadata.get("tokenizer.chat_template")
        self.chat_template: str | None = template if isinstance(template, str) else None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """From ``tokenizer.ggml.*`` keys; raises ModelError if they make no tokenizer."""
        return cls(Vocab.from_metadata(metadata), metadata)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """From any model file ``gk.open`` reads, also one that holds a vocabulary only.

        Raises FormatError for a damaged file, ModelError for one without a usable vocabulary.
        """
        from ggmlkit.io import open as open_file

        with open_file(path) as file:
            try:
                return cls.from_metadata(file.metadata)
            except ModelError as error:
                raise ModelError(f"{os.fspath(path)}: {error}") from error

    def encode(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of ``text``.

        Args:
            text: any text; lone surrogates, which no UTF-8 can hold, count as U+FFFD.
            add_special: add the tokens before and after a text that the model wants there.
            parse_special: read names of control tokens, such as ``<|im_end|>``, as those tokens;
                otherwise they are plain text.
        """
        ids = self._pipeline.encode(_valid(text), parse_special)
        return [*self._around.before, *ids, *self._around.after] if add_special else ids

    def decode(self, ids: Iterable[int], *, special: bool = False) -> str:
        """Text of tokens; bytes that make no character come out as U+FFFD.

        ``special``: control tokens and the unknown one come out by their names, such as ``</s>``,
        otherwise as nothing.
        """
        return self.decode_bytes(ids, special=special).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int], *, special: bool = False) -> bytes:
        """Bytes of tokens, without the space that a text was led by."""
        data = b"".join(self.token_bytes(token, special=special) for token in ids)
        return data.removeprefix(b" ") if self._pipeline.strips_first_space else data

    def token_bytes(self, token: int, *, special: bool = False) -> bytes:
        """Bytes of one token wherever it stands: a leading space is kept.

        Control tokens and the unknown one give none, or their names if ``special``.
        """
        self._check(token)
        if not special and int(self._vocab.types[token]) in (TokenType.CONTROL, TokenType.UNKNOWN):
            return b""
        return self._bytes_of(token)

    def token_text(self, token: int) -> str | bytes:
        """The token's own name in the vocabulary, such as ``▁the`` or ``<s>``."""
        self._check(token)
        return self._vocab.pieces[token]

    def token_id(self, text: str) -> int | None:
        """Id of the token of this name, or None."""
        return self._ids.get(text)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return self._vocab.ids()

    def is_control(self, token: int) -> bool:
        """Whether the token is one that no text can spell."""
        self._check(token)
        return int(self._vocab.types[token]) == TokenType.CONTROL

    def stream(self, beginning: bool = False, *, special: bool = False) -> Detokenizer:
        """A decoder for tokens as they come.

        ``beginning`` says that the tokens begin a text, as those of ``encode`` do, rather than
        go on after a prompt: then the space that a text is led by is left out. ``special``: as for
        ``decode``.
        """
        token_bytes = partial(self.token_bytes, special=special)
        return Detokenizer(token_bytes, beginning and self._pipeline.strips_first_space)

    def _check(self, token: int) -> None:
        if not 0 <= token < self.vocab_size:
            raise IndexError(f"token {token} is outside the vocabulary of {self.vocab_size}")


def _parts(vocab: Vocab, metadata: Mapping[str, Any]) -> tuple[Pipeline, Callable[[int], bytes]]:
    """The steps that encode text, and what gives the bytes of a token."""
    carried = Carried.from_metadata(metadata, vocab.pieces)
    tokens = of_vocabulary(vocab, stripping_by_model(vocab, metadata))
    if vocab.model == "gpt2":
        bpe = BpeEncoder(vocab, carried)
        if carried is not None and bpe.cuts_as_carried:
            return carried_byte_pipeline(carried, bpe.encode), bpe.token_bytes
        return plain_pipeline(tokens, bpe.encode), bpe.token_bytes
    if carried is not None and carried.model.get("byte_fallback"):
        spm = SpmEncoder(
            vocab,
            merges=vocab.merges,
            merge_order=metadata.get(MERGE_ORDER),
            fuse_unknown=bool(carried.model.get("fuse_unk")),
            defined_join=True,
        )
        return carried_pipeline(carried, spm.encode), spm.token_bytes
    spm = SpmEncoder(vocab)
    # A key that this library writes for a tokenizer.model, and llama.cpp for no such vocabulary.
    own = f"{PREFIX}remove_extra_whitespaces" in metadata or charsmap(metadata)
    pipeline = sentencepiece_pipeline if own else spaced_pipeline
    return pipeline(metadata, tokens, spm.encode), spm.token_bytes


def _valid(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
