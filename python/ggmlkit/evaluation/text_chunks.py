"""A text cut into chunks whose second halves are scored, as llama-perplexity does it."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.arguments import counted
from ggmlkit.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.text.tokenizer import Tokenizer

# The shortest chunk with a token before the one that its second half predicts.
LEAST_CONTEXT = 3


@dataclass(frozen=True)
class TextChunks:
    """The tokens of a text, cut into chunks that are evaluated independently.

    Attributes:
        tokens: int32 ``(chunks, context)``, as the text has them.
        bos_id: the token that stands in the place of each chunk's first one when it is evaluated;
            None: the first one itself.
        together: how many chunks are computed at a time.
    """

    tokens: NDArray[np.int32]
    bos_id: int | None
    together: int = 1

    @property
    def context(self) -> int:
        """Tokens of a chunk."""
        return int(self.tokens.shape[1])

    @property
    def unscored(self) -> int:
        """Tokens of a chunk that only give context: those before the first scored position."""
        return self.context // 2

    @property
    def positions(self) -> int:
        """Scored positions of a chunk: each predicts the token after it."""
        return scored_positions(self.context)

    def __len__(self) -> int:
        return len(self.tokens)

    def evaluated(self, chunk: int) -> NDArray[np.int32]:
        """The ids of a chunk that the model reads, int32 ``(context,)``."""
        ids: NDArray[np.int32] = self.tokens[chunk]
        if self.bos_id is None:
            return ids
        ids = ids.copy()
        ids[0] = self.bos_id
        return ids

    def targets(self, chunk: int) -> NDArray[np.int32]:
        """The ids that its scored positions predict, int32 ``(positions,)``."""
        targets: NDArray[np.int32] = self.tokens[chunk, self.unscored + 1 :]
        return targets

    def checksum(self, chunk: int) -> int:
        """Of what the model reads and what it predicts there."""
        return zlib.crc32(self.tokens[chunk].tobytes(), zlib.crc32(self.evaluated(chunk).tobytes()))


def scored_positions(context: int) -> int:
    """Scored positions of a chunk of so many tokens."""
    return context - 1 - context // 2


def text_chunks(tokenizer: Tokenizer, text: str, context: int, most: int | None) -> TextChunks:
    """The chunks of a text, at most so many; tokens after the last whole one are left out.

    Raises:
        ArgumentError: the text has no tokens, or too few: two contexts are the least.
    """
    if not text:
        raise ArgumentError("the text is empty")
    ids = unended(tokenizer, text)
    if len(ids) < 2 * context:
        raise ArgumentError(
            f"the text has {counted(len(ids), 'token')}, too few for a context of {context}: two "
            f"contexts, {2 * context} tokens, are the least"
        )
    count = len(ids) // context
    if most is not None:
        count = min(count, most)
    tokens = np.array(ids[: count * context], np.int32).reshape(count, context)
    return TextChunks(tokens, bos_of(tokenizer))


def unended(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a text that goes on: without the token that some vocabularies put after one."""
    ids = tokenizer.encode(text)
    return ids[:-1] if tokenizer.add_eos and ids[-1:] == [tokenizer.eos_id] else ids


def bos_of(tokenizer: Tokenizer) -> int | None:
    """The token that begins every evaluated chunk, if the vocabulary puts one before a text."""
    return tokenizer.bos_id if tokenizer.add_bos else None


def vocabulary_digest(tokenizer: Tokenizer) -> bytes:
    """SHA-256 of all token texts in order: another vocabulary has another one."""
    digest = hashlib.sha256()
    for token in range(tokenizer.vocab_size):
        text = tokenizer.token_text(token)
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        digest.update(len(data).to_bytes(4, "little") + data)
    return digest.digest()
