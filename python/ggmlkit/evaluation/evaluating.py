"""How well a model predicts a text, and how far its predictions are from a base's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

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
from ggmlkit.evaluation.logit_blocks import chunks_together, room_for_chunks
from ggmlkit.evaluation.results import perplexity_of
from ggmlkit.evaluation.state_file import StateFile
from ggmlkit.evaluation.text_chunks import (
    LEAST_CONTEXT,
    TextChunks,
    bos_of,
    text_chunks,
    vocabulary_digest,
)
from ggmlkit.evaluation.top_logits import DEFAULT_TOP, TopLogitsWriter
from ggmlkit.evaluation.work import Work
from ggmlkit.io import Progress

if TYPE_CHECKING:
    from ggmlkit.evaluation.bases import Base
    from ggmlkit.evaluation.results import Perplexity
    from ggmlkit.evaluation.saving import WriterOf

DEFAULT_CONTEXT = 512

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
    with ExitStack() as opened:
        saved = _open_saved(base, opened)
        context = _context_of(context, saved)
        settings = {"threads": threads, **mapping(settings, "settings")}
        models = [opened_model(model, context, settings, opened)]
        chunked = _text_of(models[0], text, context, chunks, saved)
        against: Base | None = saved
        if base is not None and saved is None:
            models.append(opened_model(base, context, settings, opened, "base"))
            against = ModelBase(models[1])
        chunked = replace(chunked, together=_together(models, context))
        if against is not None:
            against.check(models[0], chunked)
        work = Work(models[0], chunked, against, progress)
        if state is not None:
            work.take_up(
                opened.enter_context(StateFile(state, work.fingerprint, chunked.positions))
            )
        if save_top is not None:
            opened.enter_context(work.saving(0, Path(save_top), _top_writer(work, top)))
        if save_all is not None:
            opened.enter_context(work.saving(1, Path(save_all), _all_writer(work)))
        records = work.done(opened.enter_context(ThreadPoolExecutor(_workers(threads))))
    return perplexity_of(records, context, models[0].config.vocab, has_base=against is not None)


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


def _context_of(asked: int | None, saved: SavedBase | None) -> int:
    """Tokens of a chunk."""
    if asked is not None:
        return whole(asked, "context", least=LEAST_CONTEXT)
    return DEFAULT_CONTEXT if saved is None else int(saved.saved.tokens.shape[1])


def _text_of(
    model: Model, text: str | None, context: int, chunks: int | None, saved: SavedBase | None
) -> TextChunks:
    """The chunks to evaluate: no more than a file of predictions has, if no number is given."""
    if chunks is None and saved is not None:
        chunks = len(saved.saved.tokens)
    if text is not None:
        return text_chunks(model.tokenizer, checked_text(text, "text"), context, chunks)
    if saved is None:
        raise ArgumentError("give a text; it can be left out for a base's saved predictions alone")
    return TextChunks(saved.saved.tokens[:chunks], bos_of(model.tokenizer))


def _top_writer(work: Work, top: int) -> WriterOf:
    vocab, digest = work.model.config.vocab, vocabulary_digest(work.model.tokenizer)
    return lambda file: TopLogitsWriter(file, work.text.tokens, vocab, digest, top)


def _all_writer(work: Work) -> WriterOf:
    return lambda file: AllLogitsWriter(file, work.text.tokens, work.model.config.vocab)


def _workers(threads: int | None) -> int:
    return thread_count(threads) or len(os.sched_getaffinity(0))
