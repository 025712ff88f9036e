"""How well a model predicts a text, and how far its predictions are from a base's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.arguments import (
    check_optional_paths,
    check_progress,
    mapping,
    path_text,
    shown,
    thread_count,
    whole,
)
from ggmlkit.arguments import text as checked_text
from ggmlkit.engine.model import Model
from ggmlkit.errors import ArgumentError, ArgumentTypeError
from ggmlkit.evaluation.all_logits import AllLogitsWriter
from ggmlkit.evaluation.bases import ModelBase, SavedBase, open_saved
from ggmlkit.evaluation.distributions import RECORD, at, log_softmax
from ggmlkit.evaluation.logit_blocks import chunks_together, logit_blocks, room_for_chunks
from ggmlkit.evaluation.results import perplexity_of
from ggmlkit.evaluation.saving import saving
from ggmlkit.evaluation.state_file import StateFile
from ggmlkit.evaluation.text_chunks import (
    LEAST_CONTEXT,
    TextChunks,
    bos_of,
    text_chunks,
    vocabulary_digest,
)
from ggmlkit.evaluation.top_logits import DEFAULT_TOP, TopLogitsWriter
from ggmlkit.io import Progress

if TYPE_CHECKING:
    from ggmlkit.evaluation.bases import Base, DistributionOf
    from ggmlkit.evaluation.distributions import Records
    from ggmlkit.evaluation.logit_blocks import Block
    from ggmlkit.evaluation.results import Perplexity
    from ggmlkit.evaluation.saving import Saving, WriterOf

DEFAULT_CONTEXT = 512
# Logits that a thread works on at a time: its arrays stay in the processor's caches.
_PIECE = 2**19

AnyModel = str | os.PathLike[str] | Model


def perplexity(
    model: AnyModel,
    text: str | None = None,
    *,
    context: int | None = None,
    chunks: int | None = None,
    base: AnyModel | None = None,
    state: str | os.PathLike[str] | None = None,
    save_top: str | os.PathLike[str] | None = None,
    top: int = DEFAULT_TOP,
    save_all: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Perplexity:
    """Evaluate a model on a text, as llama-perplexity does, and compare it with a base.

    The text is cut into chunks of ``context`` tokens, each evaluated by itself. The tokens of its
    second half are scored: all of them have at least half a context before them.

    Args:
        model: a model file, or a model that is open.
        text: at least two contexts long. It may be left out where ``base`` is a file of
            predictions, which has the text's tokens.
        context: tokens of a chunk; default: those of ``base`` if it is a file of predictions, or
            512.
        chunks: evaluate so many at most; default: all.
        base: what the model is compared with: a model file, an open model, or a file of predictions
            that ``save_top``, ``save_all`` or llama-perplexity wrote.
        state: a file that keeps what is done. If the process ends early, even by ``kill -9``, the
            same call goes on from there, to the same figures.
        save_top: write the model's predictions to this file: of each position its ``top`` likeliest
            tokens, and what all others have together.
        top: how many tokens that are, at least 5.
        save_all: write the predictions of all tokens to this file, as llama-perplexity's
            ``--kl-divergence-base`` does: two bytes for each token of the vocabulary.
        settings: of :class:`ggmlkit.Model`, for models that are opened here, such as
            ``{"activation_bits": 16}``.
        threads: the most to use; the default is all that the process may use.
        progress: called with (chunks done, chunks, the perplexity so far).

    Raises:
        ArgumentError: the text is empty or too short, the base has another vocabulary, context or
            text, or an argument is out of range.
        FormatError: a file is damaged.
        ModelError: the model can't be run, or its logits are not finite.
        OSError: a file can't be opened or written.
    """
    check_optional_paths(state=state, save_top=save_top, save_all=save_all)
    check_progress(progress)
    thread_count(threads)
    top = whole(top, "top", least=5)
    if chunks is not None:
        chunks = whole(chunks, "chunks", least=1)
    if context is not None:
        context = whole(context, "context", least=LEAST_CONTEXT)
    with ExitStack() as opened:
        saved = _open_saved(base, opened)
        if saved is not None:
            own_chunks, own_context = saved.saved.tokens.shape
            context = own_context if context is None else context
            chunks = own_chunks if chunks is None else chunks
        context = DEFAULT_CONTEXT if context is None else context
        settings = {"threads": threads, **mapping(settings, "settings")}
        evaluated = opened_model(model, context, settings, opened)
        texts = _text_of(evaluated, text, context, chunks, saved)
        against: Base | None = saved
        models = [evaluated]
        if base is not None and saved is None:
            models.append(opened_model(base, context, settings, opened, "base"))
            against = ModelBase(models[1])
        texts = replace(texts, together=_together(models, context))
        if against is not None:
            against.check(evaluated, texts)
        work = _Work(evaluated, texts, against, progress)
        if state is not None:
            work.state = opened.enter_context(
                StateFile(state, _fingerprint(evaluated, against), texts.positions)
            )
        for path, writer_of in (
            (save_top, _top_writer(evaluated, texts, top)),
            (save_all, _all_writer(evaluated, texts)),
        ):
            if path is not None:
                keep = state is not None
                work.savings.append(
                    opened.enter_context(saving(Path(path), writer_of, len(texts), keep=keep))
                )
        pool = opened.enter_context(ThreadPoolExecutor(_workers(threads)))
        records = work.done(pool)
    return perplexity_of(
        records, texts.context, evaluated.config.vocab, has_base=against is not None
    )


def opened_model(
    model: AnyModel,
    context: int,
    settings: Mapping[str, Any],
    opened: ExitStack,
    name: str = "model",
) -> Model:
    """A model whose sequences have room for ``context`` tokens; one of a path is closed later.

    Raises:
        ArgumentError: it is open with a shorter context, or no model.
    """
    if isinstance(model, Model):
        if model.context < context:
            raise ArgumentError(
                f"{name} is open with a context of {model.context} tokens: open it with at least "
                f"{context}"
            )
        return model
    try:
        path_text(model, name)
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"{name} must be a path or a gk.Model, not {shown(model)}"
        ) from None
    together = chunks_together(context)
    return opened.enter_context(
        Model(model, context=context, contexts=together, prefix_cache=False, **settings)
    )


def _together(models: list[Model], context: int) -> int:
    """How many chunks are computed at a time, each by all models.

    Raises:
        ArgumentError: the cache of an open model has no room for one.
    """
    count = chunks_together(context)
    for model in models:
        room = room_for_chunks(model, context) // sum(each is model for each in models)
        if room < 1:
            raise ArgumentError(
                f"{model.file.path} is open with a cache of {model.cache_tokens} tokens, too few "
                f"for chunks of {context}: open it with contexts=2 or a larger cache_tokens"
            )
        count = min(count, room)
    return count


def _open_saved(base: AnyModel | None, opened: ExitStack) -> SavedBase | None:
    if base is None or not isinstance(base, (str, os.PathLike)):
        return None
    saved = open_saved(base)
    return None if saved is None else opened.enter_context(SavedBase(saved))


def _text_of(
    model: Model, text: str | None, context: int, chunks: int | None, saved: SavedBase | None
) -> TextChunks:
    if text is not None:
        return text_chunks(model.tokenizer, checked_text(text, "text"), context, chunks)
    if saved is None:
        raise ArgumentError("give a text; it can be left out for a base's saved predictions alone")
    return TextChunks(saved.saved.tokens[:chunks], bos_of(model.tokenizer))


def _fingerprint(model: Model, base: Base | None) -> str:
    parts = (model.fingerprint(), "" if base is None else base.fingerprint)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _top_writer(model: Model, text: TextChunks, top: int) -> WriterOf:
    return lambda file: TopLogitsWriter(
        file, text.tokens, model.config.vocab, vocabulary_digest(model.tokenizer), top
    )


def _all_writer(model: Model, text: TextChunks) -> WriterOf:
    return lambda file: AllLogitsWriter(file, text.tokens, model.config.vocab)


def _workers(threads: int | None) -> int:
    return thread_count(threads) or len(os.sched_getaffinity(0))


@dataclass
class _Piece:
    """What was found at some positions of a chunk: records, and a row for each file to save."""

    records: Records
    saved: list[bytes]


class _Work:
    """The evaluation of a text's chunks."""

    def __init__(
        self, model: Model, text: TextChunks, base: Base | None, progress: Progress | None
    ) -> None:
        self.model, self.text, self.base = model, text, base
        self.state: StateFile | None = None
        self.savings: list[Saving] = []
        self._progress = progress
        self._records = np.zeros((len(text), text.positions), RECORD)

    def done(self, pool: Executor) -> Records:
        """RECORD ``(chunks, positions)`` of all chunks, those of an earlier process among them."""
        first = self._begin()
        self._tell(first)
        end = len(self.text)
        distribution_of = None
        if self.base is not None:
            distribution_of = self.base.distributions(self.text, first, end)
        done = first
        for blocks in logit_blocks(self.model, self.text, first, end):
            for block in blocks:
                self._evaluate(block, distribution_of, pool)
            if blocks[-1].end == self.text.positions:
                self._keep(done, blocks[-1].chunk + 1)
                done = blocks[-1].chunk + 1
                self._tell(done)
        return self._records

    def _begin(self) -> int:
        """The first chunk to compute; the results of those before it are taken from the state."""
        if self.state is None:
            return 0
        found = self.state.read(self.text)
        done = min([len(found), *(each.done for each in self.savings)])
        if done < len(self.text):
            # Those that are computed together stay so: on AMX that decides about their last bits.
            done -= done % self.text.together
            self.state.forget(done)
        self._records[:done] = found[:done]
        return done

    def _evaluate(
        self, block: Block, distribution_of: DistributionOf | None, pool: Executor
    ) -> None:
        distribution = None if distribution_of is None else distribution_of(block)
        writers = [each.writer for each in self.savings if not each.is_complete]

        def piece(rows: slice) -> _Piece:
            log_probs, targets = log_softmax(block.logits[rows]), block.targets[rows]
            if distribution is None:
                records = np.zeros(len(targets), RECORD)
                records["nll"] = -at(log_probs, targets)
            else:
                records = distribution.compare(rows, log_probs, targets)
            return _Piece(records, [writer.rows(log_probs, targets) for writer in writers])

        for rows, found in _in_order(pool, piece, _pieces(block)):
            begin = block.begin + rows.start
            self._records[block.chunk, begin : begin + len(found.records)] = found.records
            for writer, data in zip(writers, found.saved, strict=True):
                writer.write(block.chunk, begin, data)

    def _keep(self, first: int, end: int) -> None:
        """Write down the results of chunks, after their predictions."""
        for each in self.savings:
            if not each.is_complete:
                each.writer.flush()
        if self.state is not None:
            for chunk in range(first, end):
                self.state.append(self.text, chunk, self._records[chunk])

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            so_far = f"perplexity {np.exp(self._records['nll'][:done].mean()):.4f}" if done else ""
            self._progress(done, len(self.text), so_far)


def _pieces(block: Block) -> list[slice]:
    step = max(1, _PIECE // block.logits.shape[1])
    count = len(block.targets)
    return [slice(begin, min(begin + step, count)) for begin in range(0, count, step)]


def _in_order(
    pool: Executor, work: Callable[[slice], _Piece], pieces: list[slice]
) -> Iterator[tuple[slice, _Piece]]:
    return zip(pieces, pool.map(work, pieces), strict=True)
