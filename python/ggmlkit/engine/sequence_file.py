"""Sequences in files: tokens, and the full pages of their keys and values.

It is a gguf file: the tokens are in its metadata, and all full pages are one tensor of bytes. The
tokens after the last full page are computed again when the sequence is loaded, with the same bits.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit import _core
from ggmlkit.arch.rope import LongRope
from ggmlkit.engine.batch import cache_full
from ggmlkit.errors import FormatError, ModelError
from ggmlkit.io import open as open_file
from ggmlkit.io import save
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ggmlkit.arch.hparams import Hparams

_TYPE = "sequence"
_PREFIX = "ggmlkit.sequence."
_PAGES = "kv_pages"
_SAMPLE = 4096  # bytes of each end of a tensor that make a model's fingerprint


def fingerprint(
    hparams: Hparams,
    context: int,
    tensors: Mapping[str, Tensor],
    settings: Mapping[str, object],
    adapter: str | None,
) -> str:
    """What keys and values depend on, as a digest.

    That is hyper-parameters, weights (samples of them), settings and the adapter; of the context,
    whether it is longer than the one that rotations were made for.
    """
    factors = hparams.rope.factors
    is_long = isinstance(factors, LongRope) and context > factors.original_context
    parts = (hparams, is_long, sorted(settings.items()), adapter)
    digest = hashlib.sha256(repr(parts).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(repr((name, tensor.type.name, tensor.shape)).encode())
        data = tensor.data
        digest.update(data[:_SAMPLE].tobytes())
        digest.update(data[len(data) - min(len(data), _SAMPLE) :].tobytes())
    return digest.hexdigest()


def write(path: str | os.PathLike[str], sequence: _core.Sequence, model: str) -> None:
    """A sequence to a file, which is replaced; `model` is the fingerprint.

    No other thread may use the sequence meanwhile.
    """
    tokens, pages = sequence.tokens, sequence.save()
    metadata: dict[str, Any] = {
        "general.type": _TYPE,
        f"{_PREFIX}model": model,
        f"{_PREFIX}digest": _digest(tokens, pages),
        f"{_PREFIX}window_begin": min(sequence.window_begin, _whole(len(tokens))),
    }
    if len(tokens):
        metadata[f"{_PREFIX}tokens"] = tokens
    tensors = [Tensor("i8", (pages.size,), pages, _PAGES)] if pages.size else []
    save(path, tensors, metadata, container="gguf")


def read(
    path: str | os.PathLike[str],
    engine: _core.Engine,
    adapter: _core.Adapter | None,
    model: str,
    vocab: int,
) -> tuple[_core.Sequence, NDArray[np.int32]]:
    """The sequence of the full pages in a file, and all its tokens.

    Raises:
        FormatError: the file is not a sequence's, or is damaged.
        ModelError: it is another model's, or was made with other settings or another adapter, or
            is longer than the context.
        CacheFullError: the cache has too few free pages.
    """
    with open_file(path) as file:
        metadata = file.metadata
        if metadata.get("general.type") != _TYPE:
            raise FormatError(file.path, None, "the file does not hold a sequence")
        if metadata.get(f"{_PREFIX}model") != model:
            raise ModelError(
                f"{file.path}: the sequence was computed by another model, or with another "
                "kv_type, activation_bits or adapter"
            )
        tokens = _tokens(file.path, metadata, vocab)
        if len(tokens) > engine.context:
            raise ModelError(
                f"{file.path}: the sequence of {len(tokens)} tokens does not fit the context of "
                f"{engine.context}"
            )
        begin = metadata.get(f"{_PREFIX}window_begin")
        if not isinstance(begin, int) or not 0 <= begin <= len(tokens):
            raise FormatError(file.path, None, f"{_PREFIX}window_begin is not a position")
        pages = file[_PAGES].data if _PAGES in file else np.empty(0, np.uint8)
        if metadata.get(f"{_PREFIX}digest") != _digest(tokens, pages):
            raise FormatError(file.path, None, f"{_PAGES} or the tokens are damaged")
        try:
            found = engine.load(adapter, tokens[: _whole(len(tokens))], begin, pages)
        except _core.OutOfPages as error:
            raise cache_full(error) from None
        except ValueError as error:
            raise FormatError(file.path, None, f"{_PAGES}: {error}") from None
    return found, tokens


def _digest(tokens: NDArray[np.int32], pages: NDArray[np.uint8]) -> str:
    """Shows damage, which would give other text without a word."""
    digest = hashlib.blake2b(tokens.astype("<i4").tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(pages).data)
    return digest.hexdigest()


def _tokens(path: Any, metadata: Mapping[str, Any], vocab: int) -> NDArray[np.int32]:
    values = metadata.get(f"{_PREFIX}tokens", ())
    try:
        tokens = np.asarray(values)
        if tokens.size == 0:
            return np.empty(0, np.int32)
        is_row = tokens.ndim == 1 and tokens.dtype.kind in "iu"
        if is_row and tokens.min() >= 0 and tokens.max() < vocab:
            return tokens.astype(np.int32)
    except (TypeError, ValueError):
        pass
    raise FormatError(path, None, f"{_PREFIX}tokens is not a list of ids in the vocabulary")


def _whole(tokens: int) -> int:
    return tokens // _core.KV_PAGE * _core.KV_PAGE
