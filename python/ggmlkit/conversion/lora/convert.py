"""LoRA adapters written as single files: gguf, which llama.cpp takes too, or ggla."""

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
from ggmlkit.conversion.lora.adapter import Adapter, BaseModel, Change
from ggmlkit.conversion.lora.files import HALVES, plain
from ggmlkit.conversion.lora.open_adapter import open_adapter
from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ByteOrder, ModelFile
from ggmlkit.io.legacy.ggla import ALPHA
from ggmlkit.lazy.computed_tensor import computed
from ggmlkit.lazy.transposed import transposed
from ggmlkit.quantization.file import in_type
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

_SUFFIXES = {".gguf": "gguf", ".bin": "ggla", ".ggla": "ggla"}
_MOST_ALPHA = 1 << 31  # what ggla's whole number is below


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
        src: a PEFT folder, or an adapter as a gguf or ggla file, which may be open.
        out: the file to write, replaced only when it is complete.
        base: the model it is for, or its config.json: a PEFT adapter's file must name the model's
            architecture, and the number of heads gives the order of q's and k's rows. Needed where
            neither the adapter's folder nor its base_model_name_or_path has a config.json here.
        type: f32, f16 or bf16; None for the one each tensor has. ggla holds f32 and f16.
        container: ``"gguf"`` or ``"ggla"``; by default the suffix of ``out`` tells.
        version: of gguf: 3 by default.
        byte_order: of the numbers; only gguf v3 can be ``"big"``.
        progress: as ``gk.save`` calls it.

    Raises:
        ConversionError: the adapter has something that isn't supported, or doesn't fit the model.
        FormatError: it is damaged.
    """
    container = container or _SUFFIXES.get(Path(out).suffix.lower())
    if container not in ("gguf", "ggla"):
        raise ConversionError(
            f"an adapter is written as gguf or ggla: end {Path(out).name} in .gguf or .bin"
        )
    if type is not None and types.get(type).name not in FLOATS:
        raise ConversionError(f"an adapter is stored as f32, f16 or bf16, not {type}")
    known = None if base is None else hparams_of(base)
    model = None if known is None else BaseModel(known.architecture, lambda: known)
    with closing(open_adapter(src, model)) as adapter:
        adapter.check_is_low_rank(f"a {container} adapter")
        if known is not None:
            adapter.check_fits(dict(known.shapes()), known.architecture)
            adapter.architecture = known.architecture
        if adapter.architecture is None:
            raise ConversionError(
                f"{adapter.path} doesn't say which architecture its model has, and no model is at "
                "hand; give the base model (--base)"
            )
        written = _gguf if container == "gguf" else _ggla
        tensors, metadata = written(adapter, None if type is None else types.get(type))
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
    alpha = _alpha_of_most(adapter.changes)
    tensors = {}
    for name, change in adapter.changes.items():
        b = _multiplied(change.b, change.scale * change.rank / alpha)
        halves = (change.a, b) if name != names.EMBEDDINGS else (b, transposed(plain(change.a)))
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


def _alpha_of_most(changes: Mapping[str, Change]) -> float:
    """The alpha that is right for most changes; what it isn't right for is multiplied itself."""
    alphas = Counter(float(np.float32(each.scale * each.rank)) for each in changes.values())
    del alphas[0.0]  # would mean that there is no alpha
    return alphas.most_common(1)[0][0] if alphas else 1.0


def _ggla(adapter: Adapter, type: TensorType | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One rank and one whole alpha for all: lower ranks are filled up with zeros."""
    if adapter.architecture != "llama":
        raise ConversionError(
            f"ggla holds adapters of llama alone, not of {adapter.architecture}; write a gguf file"
        )
    rank = max(change.rank for change in adapter.changes.values())
    alphas = {round(change.scale * rank, 6) for change in adapter.changes.values()}
    alpha = float(rank)
    if len(alphas) == 1 and (only := alphas.pop()) == int(only) and 0 < abs(only) < _MOST_ALPHA:
        alpha = only
    tensors = {}
    for name, change in adapter.changes.items():
        own_name = names.to_meta(name)
        if own_name is None:
            raise ConversionError(f"ggla has no name for {name}")
        b = _multiplied(change.b, change.scale * rank / alpha)
        for suffix, half in ((".loraA", transposed(plain(change.a))), (".loraB", b)):
            kept = _of_old(_stored(_widened(half, rank), type))
            tensors[own_name + suffix] = kept.renamed(own_name + suffix)
    return tensors, {ALPHA: alpha}


def _of_old(tensor: Tensor) -> Tensor:
    """In a type that programs of ggla's time know."""
    return computed(tensor, lambda x: x) if tensor.type.name == "bf16" else tensor


def _stored(tensor: Tensor, type: TensorType | None) -> Tensor:
    own = plain(tensor)
    return own if type is None else in_type(own, type, 1)


def _multiplied(tensor: Tensor, factor: float) -> Tensor:
    """The tensor times a factor, in float32; itself where the factor is 1 but for rounding."""
    if abs(factor - 1) < 1e-6:
        return tensor
    return computed(tensor, lambda x: x * np.float32(factor))


def _widened(tensor: Tensor, columns: int) -> Tensor:
    """The matrix with zeros beside it."""
    rows, own = tensor.shape
    if own == columns:
        return tensor
    return computed(tensor, lambda x: np.pad(x, ((0, 0), (0, columns - own))), (rows, columns))
