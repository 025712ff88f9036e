"""Text to token ids and back, from the vocabulary inside a model file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from ggmlkit.errors import ModelError
from ggmlkit.model.added_tokens import Stripping
from ggmlkit.model.detokenizer import Detokenizer
from ggmlkit.model.vocab import PREFIX, TokenType, Vocab, charsmap, flag, token_id

# Names under which models end a turn; a file's eos_token_id tells of one only.
_END_NAMES = frozenset(
    {
        "<|eot_id|>",
        "<|eom_id|>",
        "<|im_end|>",
        "<|end|>",
        "<|end_of_text|>",
        "<|endoftext|>",
        "<end_of_turn>",
        "<EOT>",
    }
)


# Ids of special tokens where a file tells none.
_USUAL_IDS = {
    "t5": {"eos": 1, "unknown": 2},
    "bert": {"bos": 101, "eos": 102, "unknown": 100},
}


class _Encoder(Protocol):
    space_prefix: bool

    def encode(self, text: str) -> list[int]: ...

    def token_bytes(self, token: int) -> bytes: ...


@runtime_checkable
class _TextEncoder(Protocol):
    space_prefix: bool

    def encode(self, text: str, first: bool = True) -> list[int]: ...

    def token_bytes(self, token: int) -> bytes: ...

    def joined(self, tokens: Sequence[int]) -> bytes: ...


class Tokenizer:
    """Encodes and decodes text as the model was trained to see it.

    Attributes:
        bos_id: token that begins a text, or None.
        eos_id: token that ends a text, or None.
        unknown_id: token for what the vocabulary cannot say, or None.
        eog_ids: every token after which generation ends.
        vocab_size: number of tokens.
        add_bos: whether ``encode`` begins with ``bos_id``.
        add_eos: whether ``encode`` ends with ``eos_id``.
        chat_template: the file's jinja2 template, or None.
    """

    def __init__(self, vocab: Vocab, metadata: Mapping[str, Any]) -> None:
        """Use ``from_metadata`` or ``from_file``."""
        size = len(vocab.pieces)
        self._vocab = vocab
        self._encoder = _encoder(vocab, metadata)
        self.vocab_size = size
        self.bos_id = _token(metadata, vocab, "bos", "<s>")
        self.eos_id = _token(metadata, vocab, "eos", "</s>")
        self.unknown_id = _token(metadata, vocab, "unknown", "<unk>")
        self.add_bos = flag(metadata, "add_bos_token", _adds_bos(vocab))
        self.add_eos = flag(metadata, "add_eos_token", vocab.model in ("t5", "bert"))
        self.eog_ids = self._end_ids(metadata)
        template = metadata.get("tokenizer.chat_template")
        self.chat_template: str | None = template if isinstance(template, str) else None
        special = vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN)
        self._special_ids = special
        self._stripping = Stripping.from_metadata(metadata)
        longest_first = sorted(special, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

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
            add_special: add the first and last token where the model wants them.
            parse_special: read names of control tokens, such as ``<|im_end|>``, as those tokens;
                otherwise they are plain text.
        """
        ids = list(self._parts(_valid(text), parse_special))
        if add_special and self.add_bos and self.bos_id is not None:
            ids.insert(0, self.bos_id)
        if add_special and self.add_eos and self.eos_id is not None:
            ids.append(self.eos_id)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of tokens; bytes that make no character come out as U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Bytes of tokens, without control tokens and without the space a text was led by."""
        if isinstance(self._encoder, _TextEncoder):
            tokens = list(ids)
            for token in tokens:
                self._check(token)
            return self._encoder.joined(tokens)
        data = b"".join(map(self.token_bytes, ids))
        return data.removeprefix(b" ") if self._encoder.space_prefix else data

    def token_bytes(self, token: int) -> bytes:
        """Bytes of one token wherever it stands: a leading space is kept, control gives none."""
        self._check(token)
        return self._encoder.token_bytes(token)

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

    def stream(self, beginning: bool = False) -> Detokenizer:
        """A decoder for tokens as they come.

        ``beginning`` says that the tokens begin a text, as those of ``encode`` do, rather than
        go on after a prompt: then the space that a text is led by is left out.
        """
        return Detokenizer(self.token_bytes, beginning and self._encoder.space_prefix)

    def _parts(self, text: str, parse_special: bool) -> Iterator[int]:
        if not parse_special or not self._special_ids:
            yield from self._encode(text, first=True)
            return
        parts = self._special.split(text)
        tokens = [None, *parts[1::2], None]
        for before, part, after in zip(tokens[:-1], parts[::2], tokens[1:], strict=True):
            if before is not None:
                yield self._special_ids[before]
            left = self._stripping.between(before, part, after)
            if left:
                yield from self._encode(left, first=before is None)

    def _encode(self, text: str, first: bool) -> list[int]:
        if isinstance(self._encoder, _TextEncoder):
            return self._encoder.encode(text, first)
        return self._encoder.encode(text)

    def _end_ids(self, metadata: Mapping[str, Any]) -> set[int]:
        named = {
            number
            for text, number in self._vocab.of_type(
                TokenType.CONTROL, TokenType.USER_DEFINED
            ).items()
            if text in _END_NAMES
        }
        told = {token_id(metadata, name, self.vocab_size) for name in ("eot", "eom")}
        return named | {number for number in (self.eos_id, *told) if number is not None}

    def _check(self, token: int) -> None:
        if not 0 <= token < self.vocab_size:
            raise IndexError(f"token {token} is outside the vocabulary of {self.vocab_size}")


def _encoder(vocab: Vocab, metadata: Mapping[str, Any]) -> _Encoder:
    # Imported here: the tokenizers library takes longer to load than all of this package.
    try:
        from ggmlkit.model.tokenizer_bpe import ByteBpeEncoder
        from ggmlkit.model.tokenizer_spm import SpmEncoder
        from ggmlkit.model.tokenizer_unigram import UnigramEncoder
        from ggmlkit.model.tokenizer_wordpiece import WordPieceEncoder
    except (ImportError, MemoryError) as error:  # such as "failed to map segment": no memory left
        raise ModelError(f"the tokenizers library can't be loaded: {error}") from error
    if vocab.model == "llama":
        return SpmEncoder(
            vocab,
            space_prefix=flag(metadata, "add_space_prefix", True),
            collapse_spaces=flag(metadata, "remove_extra_whitespaces", False),
            charsmap=charsmap(metadata),
        )
    if vocab.model == "t5":
        return UnigramEncoder(vocab, metadata)
    if vocab.model == "bert":
        return WordPieceEncoder(vocab, metadata)
    return ByteBpeEncoder(vocab)


def _adds_bos(vocab: Vocab) -> bool:
    from ggmlkit.model import pretokenizers

    if vocab.model != "gpt2":
        return vocab.model in ("llama", "bert")
    return pretokenizers.by_name(vocab.pre).adds_bos


def _token(metadata: Mapping[str, Any], vocab: Vocab, name: str, usual: str) -> int | None:
    """A special token's id: the one the file tells, else for SentencePiece the usual one."""
    if vocab.model in _USUAL_IDS:
        return _usual_token(metadata, vocab, name)
    told = token_id(metadata, name, len(vocab.pieces))
    if told is not None or vocab.model != "llama" or f"{PREFIX}{name}_token_id" in metadata:
        return told
    return vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN).get(usual)


def _usual_token(metadata: Mapping[str, Any], vocab: Vocab, name: str) -> int | None:
    """A special token's id: the one the file tells by any name, else the one llama.cpp takes."""
    names = {("bert", "bos"): ("bos", "cls"), ("bert", "eos"): ("seperator", "eos")}
    for key in names.get((vocab.model, name), (name,)):
        told = token_id(metadata, key, len(vocab.pieces))
        if told is not None or f"{PREFIX}{key}_token_id" in metadata:
            return told
    usual = _USUAL_IDS[vocab.model].get(name)
    return usual if usual is not None and usual < len(vocab.pieces) else None


def _valid(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
