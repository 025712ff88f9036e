"""Makes importance matrices: runs a text through a model, and sums squares of what enters each
matrix. The numbers are those of llama.cpp's ``llama-imatrix``, but for rounding."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from hashlib import sha256
from math import prod
from typing import TYPE_CHECKING

from ggmlkit._core import KV_PAGE
from ggmlkit.arguments import check_progress, counted, whole
from ggmlkit.calibration.saving import Saving
from ggmlkit.calibration.sums import ColumnSums, FileNames
from ggmlkit.calibration.text import token_chunks
from ggmlkit.engine.model import Model
from ggmlkit.engine.sequence import Chunk
from ggmlkit.errors import ArgumentError, ImportanceError
from ggmlkit.io.imatrix import Imatrix, ImatrixEntry, Work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ggmlkit.calibration.text import Text
    from ggmlkit.tensor import Tensor

Progress = Callable[[int, int, str], None]

# Tokens of one step: short chunks are computed together.
_TOGETHER = 512


def make_imatrix(
    model: Model | str | os.PathLike[str],
    text: Text,
    *,
    chunk_size: int = 512,
    chunks: int | None = None,
    skip: int = 0,
    output: bool = False,
    parse_special: bool = False,
    start: Imatrix | None = None,
    dataset: str = "",
    saving: Saving | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Imatrix:
    """The importance of each column of each matrix of a model, measured on a text.

    Args:
        model: a model file, or a model with a context of ``chunk_size`` tokens or more.
        text: a text, or ids of tokens, whose chunks then begin as they are.
        chunk_size: tokens that are computed with one another as context.
        chunks: how many to use at most; all by default.
        skip: chunks to leave out at the beginning.
        output: measure also what enters the matrix that makes the logits.
        parse_special: whether names of control tokens in the text stand for these tokens.
        start: to add to.
        dataset: name of the text, for the file.
        saving: the file to save to, again and again, and to go on from.
        threads: at most this many, where ``model`` is a file.
        progress: called with (chunks done, chunks in all, "").

    Returns:
        The sums of squares and the numbers of tokens, by the names of the model file's tensors.

    Raises:
        ArgumentError: the text is empty or too short for a chunk; a number is too small; the
            model's context or free cache is smaller than a chunk; the file to go on from was begun
            with another model, text or setting.
        ImportanceError: ``start`` is another model's.
        FormatError: the model file, or the file to go on from, is damaged.
        ModelError: the file is not a model that can be run, or its activations are not finite.
        OSError: a file can't be read or written.
    """
    check_progress(progress)
    with ExitStack() as opened:
        if not isinstance(model, Model):
            room = max(1, _TOGETHER // whole(chunk_size, "chunk_size", least=1))
            room *= _in_cache(chunk_size)
            model = opened.enter_context(
                Model(model, context=chunk_size, cache_tokens=room, threads=threads)
            )
        rows = token_chunks(
            model, text, chunk_size, skip=skip, most=chunks, parse_special=parse_special
        )
        _check_room(model, chunk_size)
        names = FileNames(model, output)
        before = start or Imatrix({})
        _check_same_model(before, names.tensors)
        work = _digest(model, rows, output, before)
        datasets = [*before.datasets, *filter(None, [dataset])]
        run = _Run(model, rows, names, Work(work, 0, len(rows)), datasets)
        if saving is not None:
            found = saving.found(work)
            before, run.work = (found, found.work) if found and found.work else (before, run.work)
        return run.finished(before.entries, saving, progress)


class _Run:
    """One text through one model."""

    def __init__(
        self,
        model: Model,
        rows: NDArray[np.int32],
        names: FileNames,
        work: Work,
        datasets: list[str],
    ) -> None:
        self._model = model
        self._rows = rows
        self._names = names
        self._datasets = datasets
        self.work = work

    def finished(
        self,
        before: Mapping[str, ImatrixEntry],
        saving: Saving | None,
        progress: Progress | None,
    ) -> Imatrix:
        """The importance matrix after the last chunk, saved where that is wanted."""
        sums = ColumnSums(before)
        try:
            while self.work.done < self.work.chunks:
                if progress is not None:
                    progress(self.work.done, self.work.chunks, self._said())
                self._step(sums)
                if saving is not None:
                    saving.after(self._made(sums))
        except KeyboardInterrupt:
            if saving is None:
                raise
            saving.save(self._made(sums))
            raise KeyboardInterrupt(
                f"interrupted: {saving.path} holds {self._said()}, and resuming goes on from them"
            ) from None
        made = self._made(sums)
        if saving is not None:
            saving.save(made)
        if progress is not None:
            progress(self.work.chunks, self.work.chunks, self._said())
        return made

    def _said(self) -> str:
        return f"{self.work.done} of {counted(self.work.chunks, 'chunk')}"

    def _step(self, sums: ColumnSums) -> None:
        size = self._rows.shape[1]
        together = max(1, min(_TOGETHER // size, self._model.free_cache_tokens // _in_cache(size)))
        rows = self._rows[self.work.done :][:together]

        def observe(names: tuple[str, ...], x: NDArray[np.float32]) -> None:
            if own := self._names(names):
                sums.add(own, x)

        with ExitStack() as opened:
            sequences = [opened.enter_context(self._model.sequence()) for _ in rows]
            batch = [Chunk(s, row, "none") for s, row in zip(sequences, rows, strict=True)]
            try:
                self._model.step(batch, observe)
            except BaseException:
                sums.discard()
                raise
        sums.commit()
        self.work = Work(self.work.digest, self.work.done + len(rows), self.work.chunks)

    def _made(self, sums: ColumnSums) -> Imatrix:
        size = self._rows.shape[1]
        most = max((float(entry.counts.max()) for entry in sums.entries.values()), default=0.0)
        return Imatrix(dict(sums.entries), self._datasets, int(most) // size, size, self.work)


def _in_cache(tokens: int) -> int:
    """Tokens that the cache needs room for, in whole pages."""
    return -(-tokens // KV_PAGE) * KV_PAGE


def _check_room(model: Model, size: int) -> None:
    if size > model.context:
        raise ArgumentError(
            f"chunks of {size} tokens do not fit the model's context of {model.context}"
        )
    if _in_cache(size) > model.free_cache_tokens:
        raise ArgumentError(
            f"a chunk of {size} tokens needs more than the {model.free_cache_tokens} that the "
            "model's cache has free"
        )


def _check_same_model(start: Imatrix, tensors: Mapping[str, Tensor]) -> None:
    for name, entry in start.entries.items():
        shape = tensors[name].shape if name in tensors else ()
        if shape and entry.sums.size != prod(shape[:-2]) * shape[-1]:
            raise ImportanceError(
                f"the importance matrix to add to is another model's: {name} has "
                f"{entry.sums.size} columns there, and {prod(shape[:-2]) * shape[-1]} in the model"
            )
    if start.entries and not start.entries.keys() & tensors.keys():
        raise ImportanceError(
            "the importance matrix to add to is another model's: the model has none of its "
            f"matrices, such as {next(iter(start.entries))}"
        )


def _digest(model: Model, rows: NDArray[np.int32], output: bool, start: Imatrix) -> str:
    digest = sha256(f"{model.fingerprint()} {rows.shape} {output}".encode())
    digest.update(rows.tobytes())
    for name, entry in sorted(start.entries.items()):
        digest.update(name.encode())
        digest.update(entry.sums.tobytes())
        digest.update(entry.counts.tobytes())
    return digest.hexdigest()
