"""What a model is compared with: another model, or a file of its predictions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ggmlkit.arguments import counted, path_text
from ggmlkit.closing import Closing
from ggmlkit.errors import ArgumentError
from ggmlkit.evaluation import all_logits, top_logits
from ggmlkit.evaluation.distributions import FullDistribution, log_softmax
from ggmlkit.evaluation.logit_blocks import Block, logit_blocks
from ggmlkit.evaluation.text_chunks import vocabulary_digest
from ggmlkit.io.mapped_file import mapped_while_read

if TYPE_CHECKING:
    from ggmlkit.engine.model import Model
    from ggmlkit.evaluation.distributions import Distribution, Floats
    from ggmlkit.evaluation.saved_logits import SavedLogits
    from ggmlkit.evaluation.text_chunks import TextChunks

_SAMPLE = 1 << 16  # bytes of each end of a file that tell it from others

DistributionOf = Callable[[Block], "Distribution"]


class Base(Protocol):
    """What a model is compared with."""

    @property
    def fingerprint(self) -> str:
        """A digest of what its predictions depend on."""
        ...

    def check(self, model: Model, text: TextChunks) -> None:
        """Raise ArgumentError if a model on a text can't be compared with it."""
        ...

    def distributions(self, text: TextChunks, first: int, end: int) -> DistributionOf:
        """What it predicts where blocks of the chunks ``first`` to ``end`` are, in their order."""
        ...


def saved_form(path: str | os.PathLike[str]) -> Callable[..., SavedLogits] | None:
    """What reads a file of predictions; None for any other file.

    Raises:
        OSError: it can't be opened.
    """
    if path_text(path).startswith("hf:"):
        return None
    if Path(path).is_dir():
        return None
    with Path(path).open("rb") as file:
        start = file.read(8)
    if start == all_logits.MAGIC:
        return all_logits.AllLogits
    return top_logits.TopLogits if start.startswith(top_logits.NAME) else None


def open_saved(path: str | os.PathLike[str]) -> SavedLogits | None:
    """A file of predictions, open; None for any other file.

    Raises:
        FormatError: it is damaged.
        OSError: it can't be opened.
    """
    form = saved_form(path)
    if form is None:
        return None
    with mapped_while_read(path) as file:
        return form(file)


class ModelBase:
    """A model as a base, which computes beside the other one."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def fingerprint(self) -> str:
        """See :class:`Base`."""
        return self._model.fingerprint()

    def check(self, model: Model, text: TextChunks) -> None:  # noqa: ARG002
        """See :class:`Base`."""
        own, other = self._model, model
        if own is other:
            return
        _check_size(other, own.config.vocab, str(own.file.path))
        if vocabulary_digest(own.tokenizer) != vocabulary_digest(other.tokenizer):
            raise _of_other_vocabulary(other, str(own.file.path))

    def distributions(self, text: TextChunks, first: int, end: int) -> DistributionOf:
        """See :class:`Base`."""
        blocks = _each(logit_blocks(self._model, text, first, end))

        def distribution(block: Block) -> Distribution:
            own = next(blocks)
            assert (own.chunk, own.begin, own.end) == (block.chunk, block.begin, block.end)

            def log_probs(rows: slice) -> Floats:
                return log_softmax(own.logits[rows])

            return FullDistribution(log_probs)

        return distribution


class SavedBase(Closing):
    """A file of predictions as a base."""

    def __init__(self, saved: SavedLogits) -> None:
        self.saved = saved

    def close(self) -> None:
        """Close the file. Twice is no error."""
        self.saved.close()

    @property
    def fingerprint(self) -> str:
        """See :class:`Base`."""
        digest = hashlib.sha256(self.saved.tokens.tobytes())
        with self.saved.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for place in (0, max(0, size - _SAMPLE)):
                file.seek(place)
                digest.update(file.read(_SAMPLE))
        return f"{digest.hexdigest()}-{size}"

    def check(self, model: Model, text: TextChunks) -> None:
        """See :class:`Base`."""
        saved, path = self.saved, str(self.saved.path)
        _check_size(model, saved.vocab, path)
        if saved.vocabulary not in (None, vocabulary_digest(model.tokenizer)):
            raise _of_other_vocabulary(model, path)
        chunks, context = saved.tokens.shape
        if context != text.context:
            raise ArgumentError(
                f"{path} was made with a context of {context}, not {text.context}: give that one"
            )
        if chunks < len(text):
            raise ArgumentError(
                f"{path} has {counted(chunks, 'chunk')}, fewer than the {len(text)} of the text: "
                f"evaluate {chunks}"
            )
        for chunk in range(len(text)):
            if not (saved.tokens[chunk] == text.tokens[chunk]).all():
                raise ArgumentError(
                    f"{path} was made of another text or vocabulary: chunk {chunk} has other tokens"
                )

    def distributions(self, text: TextChunks, first: int, end: int) -> DistributionOf:  # noqa: ARG002
        """See :class:`Base`."""
        return lambda block: self.saved.distribution(block.chunk, block.begin, block.end)


def _each(groups: Iterator[list[Block]]) -> Iterator[Block]:
    for blocks in groups:
        yield from blocks


def _check_size(model: Model, vocab: int, base: str) -> None:
    if model.config.vocab != vocab:
        raise ArgumentError(
            f"{model.file.path} has {model.config.vocab} tokens, but its base {base} has {vocab}: "
            "both must have the same vocabulary"
        )


def _of_other_vocabulary(model: Model, base: str) -> ArgumentError:
    return ArgumentError(
        f"{model.file.path} has other tokens than its base {base}: both must have the same "
        "vocabulary"
    )
