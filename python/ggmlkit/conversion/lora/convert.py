"""LoRA adapters written as single files: gguf, which llama.cpp also reads, or ggla."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit import io, types
from ggmlkit.arch import tensor_names as names
from ggmlkit.conversion.base_model import hparams_of
from ggmlkit.conversion.float_tensors import FLOATS
from ggmlkit.conversion.lora.adapter import Adapter, BaseModel, Update
from ggmlkit.conversion.lora.files import HALVES, plain
from ggmlkit.conversion.lora.open_adapter import open_adapter
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ByteOrder, ModelFile
from ggmlkit.io.legacy.ggla import ALPHA
from ggmlkit.io.targets import refuse_overwriting
from ggmlkit.lazy.computed_tensor import computed
from ggmlkit.lazy.transposed import transposed
from ggmlkit.quantization.file import in_type
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

_SUFFIXES = {".gguf": "gguf", ".bin": "ggla", ".ggla": "ggla"}
_ALPHA_LIMIT = 1 << 31  # ggla stores alpha as a 32-bit integer


def convert_adapter(
    src: str | os.PathLike[str] | ModelFile,
    out: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    type: str | TensorType | None = None,
    container: str | None = None,
    version: int | None = None,
    byte_order: ByteOrder = "little",
    progress: Callable[..., None] | None = None,
) -> None:
    """Write a LoRA adapter as one file.

    Args:
        src: a PEFT folder, or an adapter as a gguf or ggla file, which can be open.
        out: the file to write, replaced only when it is complete.
        base: the model it is for, or its config.json: a PEFT adapter's file must name the model's
            architecture, and the number of heads gives the order of q's and k's rows. Needed if
            neither the adapter's folder nor its base_model_name_or_path has a config.json.
        type: f32, f16 or bf16; None to keep each tensor's type. ggla holds f32 and f16.
        container: ``"gguf"`` or ``"ggla"``; by default the suffix of ``out`` decides.
        version: of gguf: 3 by default.
        byte_order: of the numbers; only gguf v3 can be ``"big"``.
        progress: as ``gk.save`` calls it.

    Raises:
        ConversionError: the adapter has something that isn't supported, or doesn't fit the model.
        FormatError: it is damaged.
        ArgumentError: ``out`` is a file that is read.
    """
    container = container or _SUFFIXES.get(Path(out).suffix.lower())
    if container not in ("gguf", "ggla"):
        raise ConversionError(
            f"an adapter is written as gguf or ggla: end {Path(out).name} in .gguf or .bin"
        )
    if type is not None and types.get(type).name not in FLOATS:
        raise ConversionError(f"an adapter is stored as f32, f16 or bf16, not {type}")
    refuse_overwriting(out, src.path if isinstance(src, ModelFile) else src, base)
    known = None if base is None else hparams_of(base)
    model = None if known is None else BaseModel(known.architecture, lambda: known)
    with closing(open_adapter(src, model)) as adapter:
        adapter.check_is_low_rank(f"a {container} adapter")
        if known is not None:
            adapter.check_fits(dict(known.shapes()), known.architecture)
            adapter.architecture = known.architecture
        if adapter.architecture is None:
            raise ConversionError(
                f"{adapter.path} doesn't say which architecture its model has, and its model was "
                "not found; give the base model (--base)"
            )
        contents = _gguf if container == "gguf" else _ggla
        tensors, metadata = contents(adapter, None if type is None else types.get(type))
        io.save(
            out,
            tensors,
            metadata,
            container=container,
            version=version,
            byte_order=byte_order,
            progress=progress,
        )


def _gguf(adapter: Adapter, type: TensorType | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    alpha = _most_common_alpha(adapter.updates)
    tensors = {}
    for name, update in adapter.updates.items():
        b = _multiplied(update.b, update.scale * update.rank / alpha)
        halves = (update.a, b) if name != names.EMBEDDINGS else (b, transposed(plain(update.a)))
        for suffix, half in zip(HALVES, halves, strict=True):
            tensors[name + suffix] = _stored(half, type).renamed(name + suffix)
    metadata = {
        "general.architecture": adapter.architecture,
        "general.type": "adapter",
        "general.name": adapter.path.resolve().name,
        "adapter.type": "lora",
        ALPHA: alpha,
    }
    return tensors, metadata


def _most_common_alpha(updates: Mapping[str, Update]) -> float:
    """The alpha of most updates; the values of the others are multiplied to fit it."""
    alphas = Counter(float(np.float32(each.scale * each.rank)) for each in updates.values())
    del alphas[0.0]  # it means that there is no alpha
    return alphas.most_common(1)[0][0] if alphas else 1.0


def _ggla(adapter: Adapter, type: TensorType | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One rank and one integer alpha for all updates: lower ranks are filled up with zeros."""
    if adapter.architecture != "llama":
        raise ConversionError(
            f"ggla holds only adapters of llama, not of {adapter.architecture}; write a gguf file"
        )
    rank = max(update.rank for update in adapter.updates.values())
    alphas = {round(update.scale * rank, 6) for update in adapter.updates.values()}
    alpha = float(rank)
    if len(alphas) == 1 and (only := alphas.pop()) == int(only) and 0 < abs(only) < _ALPHA_LIMIT:
        alpha = only
    tensors = {}
    for name, update in adapter.updates.items():
        own_name = names.to_meta(name)
        if own_name is None:
            raise ConversionError(f"ggla has no name for {name}")
        b = _multiplied(update.b, update.scale * rank / alpha)
        for suffix, half in ((".loraA", transposed(plain(update.a))), (".loraB", b)):
            kept = _without_bf16(_stored(_widened(half, rank), type))
            tensors[own_name + suffix] = kept.renamed(own_name + suffix)
    return tensors, {ALPHA: alpha}


def _without_bf16(tensor: Tensor) -> Tensor:
    """The tensor in a type that programs of ggla's time can read."""
    return computed(tensor, lambda x: x) if tensor.type.name == "bf16" else tensor


def _stored(tensor: Tensor, type: TensorType | None) -> Tensor:
    own = plain(tensor)
    return own if type is None else in_type(own, type, 1)


def _multiplied(tensor: Tensor, factor: float) -> Tensor:
    """The tensor times a factor, in float32; unchanged if the factor is 1 up to rounding."""
    if abs(factor - 1) < 1e-6:
        return tensor
    return computed(tensor, lambda x: x * np.float32(factor))


def _widened(tensor: Tensor, columns: int) -> Tensor:
    """The matrix with columns of zeros added."""
    rows, own = tensor.shape
    if own == columns:
        return tensor
    return computed(tensor, lambda x: np.pad(x, ((0, 0), (0, columns - own))), (rows, columns))
