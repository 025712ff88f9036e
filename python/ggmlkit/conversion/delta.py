"""Delta weights: checkpoints of numbers to add to a base model, as Vicuna's were published.

``delta = target - base``, element by element. The target can have more tokens than the base: the
missing rows of the base count as zeros (Vicuna v0 has one more token, for padding). Sums and
differences are computed in float32 and rounded once. For float16 this equals what FastChat's tools
compute in PyTorch. A delta in the target's own type restores each weight with two rounding errors,
together at most one unit in the last place of the larger of difference and weight. A delta in
float32 restores the exact bits of a float16 or bfloat16 target, unless a weight is thousands of
times smaller than the base's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ggmlkit import types
from ggmlkit.arch import tensor_names as names
from ggmlkit.arguments import check_paths, thread_count
from ggmlkit.conversion.float_tensors import FLOATS
from ggmlkit.conversion.hf.folder import open_weights
from ggmlkit.conversion.hf.model import hf_source
from ggmlkit.conversion.hf.writer import write_hf_folder
from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.pipeline import write_model
from ggmlkit.conversion.plan import conversion_plan, stored_types
from ggmlkit.errors import ConversionError
from ggmlkit.io.targets import refuse_overwriting
from ggmlkit.io.writing.stream import Part, PartedTensor
from ggmlkit.quantization.file import in_type, row_runs
from ggmlkit.storing import check_finite
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

# Tensors with one row per token.
_BY_TOKEN = ("model.embed_tokens.weight", "lm_head.weight")
_FILES = (".gguf", ".bin", ".ggml", ".ggjt")


def apply_delta(
    base: str | os.PathLike[str],
    delta: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    type: str | TensorType | None = None,
    container: str | None = None,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> None:
    """Write the sum of a base model and a delta, with the delta's config and tokenizer.

    Args:
        base: a Hugging Face folder of float weights.
        delta: a Hugging Face folder with the numbers to add to them.
        out: a folder to write (config.json, model.safetensors, the tokenizer's files), or a model
            file if it ends in .gguf or .bin, or ``container`` is given. Replaced only when all is
            written.
        type: f32, f16 or bf16 for a folder, as in ``gk.convert`` for a model file; None for the
            delta's own type.
        container: ``"gguf"`` or ``"ggjt"``.
        threads: at most this many; all the process may use when None.
        progress: as ``gk.save`` calls it.

    Raises:
        ConversionError: the two have different tensors, a sum does not fit float16, or for the
            reasons that ``gk.convert`` has.
        FormatError: a file is damaged.
        ArgumentError: ``out`` is one of the inputs.
    """
    check_paths(base=base, delta=delta, out=out)
    refuse_overwriting(out, base, delta)
    thread_count(threads)
    base, delta, out = Path(base), Path(delta), Path(out)
    is_folder = container is None and out.suffix.lower() not in _FILES
    with ExitStack() as open_files:
        # A model file equals one converted from the folder: its sums first get the delta's type.
        sum_type = type if is_folder else None
        sums = _combined(base, delta, +1.0, sum_type, threads, open_files)
        if is_folder:
            _write_folder(out, sums, delta, sum_type, threads, progress)
            return
        source = hf_source(delta, read_json(delta / "config.json"), sums, files=[])
        if source.vocabulary_fault is not None:
            raise source.vocabulary_fault
        stored = stored_types(source, type)
        plan = conversion_plan(source, out, stored, container=container, threads=threads)
        write_model(plan, threads=threads, progress=progress)


def make_delta(
    base: str | os.PathLike[str],
    target: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    type: str | TensorType | None = None,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> None:
    """Write the delta that turns the base into the target, with the target's config and tokenizer.

    Args:
        base: a Hugging Face folder of float weights.
        target: a Hugging Face folder of the same tensors; it can have more tokens.
        out: the folder to write.
        type: f32, f16 or bf16; None for the target's own.
        threads: at most this many; all the process may use when None.
        progress: as ``gk.save`` calls it.

    Raises:
        ConversionError: the two have different tensors, or a difference does not fit float16.
        FormatError: a file is damaged.
        ArgumentError: ``out`` is one of the inputs.
    """
    check_paths(base=base, target=target, out=out)
    refuse_overwriting(out, base, target)
    thread_count(threads)
    base, target = Path(base), Path(target)
    with ExitStack() as open_files:
        differences = _combined(base, target, -1.0, type, threads, open_files)
        _write_folder(Path(out), differences, target, type, threads, progress)


def _write_folder(
    out: Path,
    tensors: Mapping[str, Tensor],
    companion: Path,
    type: str | TensorType | None,
    threads: int | None,
    progress: Callable[..., None] | None,
) -> None:
    dtype = None if type is None else types.get(type).name
    write_hf_folder(out, tensors, companion, dtype=dtype, threads=threads, progress=progress)


# ------------------------------------------------------------------------ element by element


def _combined(
    base: Path,
    folder: Path,
    sign: float,
    type: str | TensorType | None,
    threads: int | None,
    open_files: ExitStack,
) -> dict[str, Tensor]:
    """``own + sign * base`` for each tensor of a folder, in ``type`` or else its own type; lazy."""
    if type is not None and types.get(type).name not in FLOATS:
        raise ConversionError(f"a checkpoint folder holds f32, f16 or bf16, not {type}")
    theirs = _weights(base, open_files)
    own = _weights(folder, open_files)
    if missing := own.keys() - theirs.keys():
        raise ConversionError(f"{base} has no tensor {min(missing)}, but {folder} has")
    if missing := theirs.keys() - own.keys():
        raise ConversionError(f"{folder} has no tensor {min(missing)}, but {base} has")
    combined = {}
    for name, tensor in own.items():
        _check_pair(name, tensor, theirs[name], base, folder)
        exact = _sum(tensor, theirs[name], sign)
        combined[name] = in_type(exact, types.get(type or tensor.type), threads)
    return combined


def _weights(folder: Path, open_files: ExitStack) -> dict[str, Tensor]:
    if not (folder / "config.json").is_file():
        raise ConversionError(f"{folder} has no config.json: it is not a Hugging Face folder")
    tensors, files = open_weights(folder)
    for file in files:
        open_files.enter_context(closing(file))
    return {name: tensor for name, tensor in tensors.items() if not names.is_derived(name)}


def _check_pair(name: str, own: Tensor, other: Tensor, base: Path, folder: Path) -> None:
    for tensor, where in ((own, folder), (other, base)):
        if tensor.type.name not in FLOATS:
            raise ConversionError(f"{where}: {name} is {tensor.type}, not f32, f16 or bf16")
    if own.shape == other.shape:
        return
    same_width = own.shape[1:] == other.shape[1:] and len(own.shape) == 2
    if name not in _BY_TOKEN or not same_width or own.shape[0] < other.shape[0]:
        raise ConversionError(
            f"{name} has shape {own.shape} in {folder}, but {other.shape} in {base}"
        )


def _sum(own: Tensor, other: Tensor, sign: float) -> Tensor:
    def parts() -> Iterator[Part]:
        # Rows of the same length are cut at the same places; the other tensor can have fewer.
        for (first, part), beside in zip_longest(row_runs(own), row_runs(other)):
            yield Part(4 * part.size, partial(_add, own, first, part, beside and beside[1], sign))

    return PartedTensor("f32", own.shape, parts, own.name, sources=[own, other])


def _add(
    own: Tensor,
    first: int,
    part: Tensor,
    other: Tensor | None,
    sign: float,
    out: npt.NDArray[np.uint8],
    threads: int | None,
) -> None:
    values = out.view(np.float32).reshape(part.shape)
    part.dequantize(out=values, threads=threads)
    if other is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            values[: other.rows] += np.float32(sign) * other.dequantize(threads=threads)
    check_finite(values, own.name, own.shape, first * part.shape[-1])
