"""Model files written as checkpoints: a Hugging Face folder, a Meta folder, or a numpy archive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ggmlkit.arch.meta_params import to_meta_params
from ggmlkit.arch.tensor_names import to_meta
from ggmlkit.arguments import (
    check_optional_paths,
    check_paths,
    check_progress,
    text,
    thread_count,
    whole,
)
from ggmlkit.conversion.checkpoint_files import (
    SHARD_SIZE,
    check_no_other_checkpoint,
    shards,
    write_json,
    write_shards,
)
from ggmlkit.conversion.float_tensors import FLOATS, float_tensors, shared_float_type
from ggmlkit.conversion.hf.export import hf_files, hf_tensors
from ggmlkit.conversion.hf.model import hf_values
from ggmlkit.conversion.open_source import open_source
from ggmlkit.conversion.source import Source
from ggmlkit.conversion.vocabulary import to_tokenizer_json
from ggmlkit.conversion.vocabulary.tokenizer_config import tokenizer_config
from ggmlkit.errors import ConversionError
from ggmlkit.io.foreign.npz_writer import write_npz
from ggmlkit.io.targets import refuse_overwriting
from ggmlkit.io.torch.writer import write_torch
from ggmlkit.io.writing.atomic import FileSet, replacing, replacing_together
from ggmlkit.io.writing.stream import Progress
from ggmlkit.tensor import Tensor


@dataclass(frozen=True)
class _Job:
    """One export.

    Attributes:
        type: of the tensors, except vectors that it cannot hold exactly.
        tensors: by gguf name, in ``type``.
        read: the paths that it reads.
    """

    source: Source
    type: str
    tensors: dict[str, Tensor]
    shard_size: int
    threads: int | None
    progress: Progress | None
    read: tuple[str | os.PathLike[str] | None, ...]


def export(
    src: str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: Literal["hf", "meta", "npz"] | str = "hf",
    type: str | None = None,
    *,
    shard_size: int = SHARD_SIZE,
    vocab: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the model in ``src`` as a checkpoint; quantized tensors become their exact values.

    A folder's files are renamed into place when all are written. An export that fails or is killed
    before that leaves the folder as it was. While files are renamed, config.json (or params.json)
    is absent, so an interrupted export is never mistaken for a checkpoint.

    Args:
        src: any model file ``gk.open`` reads, a checkpoint folder, or either on the hub.
        out: the folder, created if needed; files in it of the same names are replaced. For
            ``"npz"`` a file.
        format: ``"hf"``: config.json, generation_config.json, tokenizer.json,
            tokenizer_config.json, and model.safetensors, or several with an index. ``"meta"``:
            params.json, consolidated.00.pth, tokenizer.json, tokenizer_config.json. ``"npz"``:
            numpy arrays by Hugging Face's names.
        type: ``"f32"``, ``"f16"`` or ``"bf16"`` for all tensors, rounded where needed. None for
            the type that the matrices have, if that is one float type, so that a checkpoint
            comes back as it was; else ``"f32"``, which holds every value.
        shard_size: most bytes of tensors in one safetensors file.
        vocab: as :func:`ggmlkit.convert` takes it.
        threads: at most this many; all the process may use when None.
        progress: called with (bytes written, bytes in all, tensor name) as the work goes on.

    Raises:
        ConversionError: the layout cannot hold the model, the values do not fit ``type``, or the
            folder holds files of another checkpoint.
        FormatError: the input is damaged.
        ArgumentError: a file that is read would be written over, or ``shard_size`` is not a number
            of bytes.
    """
    check_paths(src=src, out=out)
    check_optional_paths(vocab=vocab)
    refuse_overwriting(out, src, vocab)
    thread_count(threads)
    if type is not None and type not in FLOATS:
        raise ConversionError(f"type {type!r} is not one of {', '.join(FLOATS)}")
    check_progress(progress)
    text(format, "format")
    whole(shard_size, "shard_size", least=1)
    writers = {"hf": _write_hf, "meta": _write_meta, "npz": _write_npz}
    if format not in writers:
        raise ConversionError(f"format {format!r} is not one of {', '.join(writers)}")
    with closing(open_source(src, needs_vocabulary=vocab is None)) as source:
        if vocab is not None:
            source.replace_vocabulary(Path(vocab))
        source.check_tensors()
        if format != "meta":
            source.tensors = hf_values(source.tensors, source.hparams())
        chosen = type or _kept_type(source, format)
        tensors = float_tensors(source.tensors, chosen, threads, rounding=type is not None)
        read = (src, vocab)
        job = _Job(source, chosen, tensors, shard_size, threads, progress, read)
        writers[format](Path(out), job)


def _kept_type(source: Source, format: str) -> str:
    """The type to write if none is given; numpy has no bf16, and f32 holds its values."""
    kept = shared_float_type(source.tensors)
    return "f32" if format == "npz" and kept == "bf16" else kept


# ---------------------------------------------------------------- Hugging Face


def _write_hf(folder: Path, job: _Job) -> None:
    tensors = hf_tensors(job.source, job.tensors)
    files = hf_files(job.source, job.type)
    weights, index = shards(tensors, job.shard_size)
    if index is not None:
        files["model.safetensors.index.json"] = index
    with _checkpoint(folder, [*files, *weights], job, last="config.json") as file_set:
        for name, value in files.items():
            write_json(file_set, name, value)
        write_shards(file_set, weights, job.threads, job.progress)


# ------------------------------------------------------------------- Meta, numpy


def _write_meta(folder: Path, job: _Job) -> None:
    params = job.source.settings(to_meta_params)  # first: its errors say more
    own, weights = {_meta_name(n): t for n, t in job.tensors.items()}, "consolidated.00.pth"
    with _checkpoint(folder, ["params.json", weights], job, last="params.json") as file_set:
        write_json(file_set, "params.json", params)
        with file_set.writing(weights) as file:
            write_torch(file, own, progress=job.progress)


def _meta_name(name: str) -> str:
    found = to_meta(name)
    if found is None:
        raise ConversionError(f"Meta's layout has no name for the tensor {name}; export as hf")
    return found


def _write_npz(path: Path, job: _Job) -> None:
    if job.type == "bf16":
        raise ConversionError("numpy has no bf16; export as f32, which holds the same values")
    tensors = hf_tensors(job.source, job.tensors)
    with replacing(path) as file:
        write_npz(file, tensors, progress=job.progress)


# ---------------------------------------------------------------------- folders


@contextmanager
def _checkpoint(folder: Path, names: list[str], job: _Job, last: str) -> Iterator[FileSet]:
    """The files of a folder, renamed into place together; the tokenizer's are written first."""
    tokenizer = _tokenizer_files(job.source)
    check_no_other_checkpoint(folder, {*names, *tokenizer})
    for name in (*names, *tokenizer):
        refuse_overwriting(folder / name, *job.read)
    with replacing_together(folder, last) as file_set:
        for name, value in tokenizer.items():
            write_json(file_set, name, value)
        yield file_set


def _tokenizer_files(source: Source) -> dict[str, dict[str, Any]]:
    if "tokenizer.ggml.tokens" not in source.metadata:
        return {}
    return {
        "tokenizer.json": to_tokenizer_json(source.metadata),
        "tokenizer_config.json": tokenizer_config(source.metadata, source.hparams().context),
    }
