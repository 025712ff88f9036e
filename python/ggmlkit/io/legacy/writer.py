"""Writes LLaMA files older than gguf (ggjt v3 by default), a tensor at a time."""

from __future__ import annotations

import os
import struct
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ggmlkit import types
from ggmlkit.arch.tensor_names import to_gguf, to_meta
from ggmlkit.errors import ConversionError, UnsupportedTypeError
from ggmlkit.io.interleaved import plain_file_type
from ggmlkit.io.legacy import vocabulary as legacy_vocabulary
from ggmlkit.io.legacy.one_file import MAGICS, VERSIONS, Hyperparameters, generation
from ggmlkit.io.legacy.reader import NORM_EPSILON, ROPE_BASE
from ggmlkit.io.legacy.tensors import ALIGNMENT, tensor_header
from ggmlkit.io.unknown_tensor import refuse_unknown
from ggmlkit.io.writing.atomic import replacing
from ggmlkit.io.writing.stream import Progress, write_tensors
from ggmlkit.tensor import Tensor

_MAGIC_OF = {name: magic for magic, name in MAGICS.items()}
_LARGEST_MULTIPLE = 256
_FILE_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q4_2": 5, "q4_3": 6, "q8_0": 7, "q5_0": 8,
    "q5_1": 9, "q2_K": 10, "q3_K": 12, "q4_K": 15, "q5_K": 17, "q6_K": 18,
}  # fmt: skip


def write_legacy(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    *,
    container: str = "ggjt",
    version: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a LLaMA model, replacing ``path`` when it is complete.

    Args:
        path: the file.
        tensors: by Meta's or gguf's names, in the order to write; read one at a time. Without
            ``output.weight`` the embeddings are written again under that name, because these
            containers have no tied embeddings.
        metadata: by GGUF key: hyper-parameters and a SentencePiece vocabulary.
        container: ``"ggjt"``, ``"ggmf"`` or ``"ggml"``.
        version: of the container; by default its latest, 3 for ggjt.
        threads: the number that read, convert and write at once; None for all that the process may
            use.
        progress: called before each tensor, and at the end.

    Raises:
        ConversionError: the model is not LLaMA, its vocabulary is not SentencePiece, its RoPE is
            not LLaMA 1's, or the container's version lacks a type.
        OSError: the disk is full, or the folder can't be written.
    """
    if version is None:
        version = VERSIONS[container][-1]
    if version not in VERSIONS[container]:
        raise ConversionError(f"there is no {container} version {version}")
    refuse_unknown(tensors.values())
    named = _with_meta_names(tensors)
    layouts = generation(container, version)
    for name, tensor in named.items():
        _check_type(name, tensor, layouts, f"{container} v{version}" if version else container)
    header = _header(container, version, named, metadata)
    with replacing(path) as file:
        file.write(header)
        placed = []
        for name, tensor in named.items():
            file.write(tensor_header(name, tensor))
            start = file.tell()
            start += -start % ALIGNMENT if container == "ggjt" else 0
            placed.append((start, name, tensor))
            file.seek(start + tensor.nbytes)
        file.truncate()
        write_tensors(file, placed, threads=threads, progress=progress)


def _with_meta_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    for own_name, tensor in tensors.items():
        gguf_name = to_gguf(own_name)
        name = None if gguf_name is None else to_meta(gguf_name)
        if name is None:
            raise ConversionError(f"the old containers can't hold tensor {own_name}; write gguf")
        named[name] = tensor.renamed(name)
    if "tok_embeddings.weight" not in named:
        raise ConversionError("a LLaMA file needs tok_embeddings.weight")
    if "output.weight" not in named:
        named["output.weight"] = named["tok_embeddings.weight"].renamed("output.weight")
    return named


def _check_type(name: str, tensor: Tensor, layouts: str, container: str) -> None:
    try:
        stored_type = types.by_id(tensor.type.ggml_id, layouts)
    except UnsupportedTypeError:
        stored_type = None
    if stored_type != tensor.type:
        raise ConversionError(
            f"tensor {name} is {tensor.type}, which {container} doesn't have; "
            "convert it with Tensor.astype()"
        )


def _header(
    container: str,
    version: int | None,
    tensors: dict[str, Tensor],
    metadata: Mapping[str, Any],
) -> bytes:
    _check_expressible(metadata)
    entries = _vocabulary(metadata)
    numbers = _hyperparameters(metadata, len(entries), tensors)
    header = bytearray(_MAGIC_OF[container])
    if version is not None:
        header += struct.pack("<I", version)
    header += struct.pack(
        "<7i",
        numbers.n_vocab,
        numbers.n_embd,
        numbers.n_mult,
        numbers.n_head,
        numbers.n_layer,
        numbers.n_rot,
        numbers.file_type,
    )
    scores = _scores(metadata, len(entries))
    for number, entry in enumerate(entries):
        header += struct.pack("<I", len(entry)) + entry
        if container != "ggml":
            header += scores[4 * number : 4 * number + 4]
    return bytes(header)


def _check_expressible(metadata: Mapping[str, Any]) -> None:
    """Refuse settings that the header can't store, so that a reader would run the model wrongly."""
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise ConversionError(f"the old containers hold LLaMA models, not {architecture!r}")
    base = float(metadata.get("llama.rope.freq_base", ROPE_BASE))
    scaling = metadata.get("llama.rope.scaling.type", "none")
    if base != ROPE_BASE or scaling != "none":
        raise ConversionError(
            f"the old containers can't say that RoPE has base {base:g} and scaling {scaling!r}; "
            "write gguf"
        )
    epsilon = float(metadata.get("llama.attention.layer_norm_rms_epsilon", NORM_EPSILON))
    if abs(epsilon - NORM_EPSILON) > 1e-3 * NORM_EPSILON:
        warnings.warn(
            f"the old containers can't store the RMSNorm epsilon {epsilon:g}; "
            f"programs will use {NORM_EPSILON:g}",
            stacklevel=5,
        )


def _vocabulary(metadata: Mapping[str, Any]) -> list[bytes]:
    model = metadata.get("tokenizer.ggml.model")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if tokens is None or model != "llama":
        raise ConversionError(
            f"the old containers hold SentencePiece vocabularies, not {model!r}; write gguf"
        )
    kinds = metadata.get("tokenizer.ggml.token_type")
    if kinds is not None and len(kinds) != len(tokens):
        raise ConversionError(f"{len(tokens)} tokens but {len(kinds)} token types")
    return legacy_vocabulary.from_gguf(tokens, kinds)


def _scores(metadata: Mapping[str, Any], count: int) -> bytes:
    """All scores as little-endian float32; zeros if the vocabulary has none."""
    scores = metadata.get("tokenizer.ggml.scores")
    if scores is None:
        return bytes(4 * count)
    if len(scores) != count:
        raise ConversionError(f"{count} tokens but {len(scores)} scores")
    return np.asarray(scores).astype("<f4").tobytes()


def _hyperparameters(
    metadata: Mapping[str, Any], vocabulary: int, tensors: dict[str, Tensor]
) -> Hyperparameters:
    def number(key: str) -> int:
        if key not in metadata:
            raise ConversionError(f"the metadata lacks {key}")
        return int(metadata[key])

    rows = tensors["tok_embeddings.weight"].shape[0]
    if rows != vocabulary:
        raise ConversionError(f"{vocabulary} tokens but embeddings for {rows}")
    n_embd = number("llama.embedding_length")
    n_head = number("llama.attention.head_count")
    n_rot = int(metadata.get("llama.rope.dimension_count", n_embd // n_head))
    return Hyperparameters(
        n_vocab=vocabulary,
        n_embd=n_embd,
        n_mult=_multiple(n_embd, number("llama.feed_forward_length")),
        n_head=n_head,
        n_layer=number("llama.block_count"),
        n_rot=n_rot,
        file_type=plain_file_type(int(metadata.get("general.file_type", _file_type(tensors)))),
    )


def _multiple(n_embd: int, n_ff: int) -> int:
    """A number ``n_mult`` such that 8/3 of the width, rounded up to a multiple of it, is ``n_ff``.

    256 as in LLaMA if possible, else the largest number below, else ``n_ff`` itself.
    """
    least = 2 * (4 * n_embd) // 3
    candidates: list[int] = [*range(_LARGEST_MULTIPLE, 0, -1), n_ff]
    for multiple in candidates:
        if -(-least // multiple) * multiple == n_ff:
            return multiple
    raise ConversionError(
        f"the old containers can't say that a model {n_embd} wide has {n_ff} feed-forward units"
    )


def _file_type(tensors: dict[str, Tensor]) -> int:
    """The number of the type that most weights have."""
    weights: Counter[str] = Counter()
    for tensor in tensors.values():
        weights[tensor.type.name.removesuffix("_v1").removesuffix("_v2")] += tensor.size
    return _FILE_TYPES.get(weights.most_common(1)[0][0], _FILE_TYPES["f16"])
