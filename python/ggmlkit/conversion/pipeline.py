"""Checkpoint or model file in, model file out, one tensor at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ggmlkit import io, types
from ggmlkit.conversion import names
from ggmlkit.conversion.lora import is_adapter
from ggmlkit.conversion.source import Source, open_source
from ggmlkit.errors import ConversionError, UnsupportedTypeError
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

_LAYOUT_VERSION = 2  # general.quantization_version of today's block layouts
_FLOAT16_INFINITY = 0x7C00


class StoredTypes(NamedTuple):
    """The types of a model's tensors in a file, and what the file calls them all."""

    by_name: Mapping[str, TensorType]
    file_type: int


def convert(
    src: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    type: str | TensorType | None = None,
    container: str | None = None,
    base: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> None:
    """Write the model in ``src`` as one model file, all matrices in ``type``.

    A LoRA adapter becomes an adapter file, as :func:`convert_adapter` writes it.

    Args:
        src: a Hugging Face folder, a Meta folder, or any model file ``gk.open`` reads; or an
            adapter: a PEFT folder, a gguf or a ggla file.
        out: the file to write, replaced only when it is complete.
        type: of the matrices: f32, f16 (the default), bf16, q8_0, q5_0, q5_1, q4_0 or q4_1.
            Vectors are stored as f32, matrices whose rows are not whole blocks as f16. An adapter's
            tensors keep their types by default.
        container: ``"gguf"`` or ``"ggjt"``; by default the suffix of ``out`` tells. ``"ggla"`` for
            an adapter.
        base: the model that an adapter is for, or its config.json.
        threads: at most this many; all the process may use when None.
        progress: as ``gk.save`` calls it.

    Raises:
        ConversionError: the model has something that this library or the container cannot hold.
        FormatError: the input is damaged.
        UnsupportedTypeError: ``type`` cannot be written, or a tensor of ``src`` cannot be read.
    """
    if is_adapter(src):
        from ggmlkit.conversion.lora_convert import convert_adapter

        return convert_adapter(
            src, out, base=base, type=type, container=container, progress=progress
        )
    if base is not None:
        raise ConversionError(f"{os.fspath(src)} is no adapter, which alone has a base model")
    container = container or container_of(Path(out))
    with closing(open_source(src)) as source:
        stored = stored_types(source, type or "f16")
        write_model(source, out, stored, container, threads=threads, progress=progress)
    return None


def write_model(
    source: Source,
    out: str | os.PathLike[str],
    stored: StoredTypes,
    container: str,
    *,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> None:
    """Write an open model as one file, tensors in the given types; raises as :func:`convert`."""
    from ggmlkit.quantization.file import in_type

    if container == "ggjt":
        _check_fits_ggjt(source)
    tensors = {
        name: finite(in_type(tensor, stored.by_name[name], threads))
        for name, tensor in source.tensors.items()
    }
    metadata = {
        **source.metadata,
        "general.file_type": stored.file_type,
        "general.quantization_version": _LAYOUT_VERSION,
    }
    io.save(Path(out), tensors, metadata, container=container, progress=progress)


def stored_types(source: Source, type: str | TensorType | None) -> StoredTypes:
    """The types of a file with all matrices in ``type``; None: each in its own, vectors as f32.

    Raises UnsupportedTypeError where a matrix is in a layout that today's files don't have.
    """
    from ggmlkit.quantization.recipe import plan, recipe

    if type is not None:
        return StoredTypes(plan(source.tensors, type, pure=True), recipe(type).file_type)
    kept = {name: _kept_type(tensor) for name, tensor in source.tensors.items()}
    file_type = source.metadata.get("general.file_type")
    if not isinstance(file_type, int):
        matrices = Counter(kept[n].name for n, t in source.tensors.items() if len(t.shape) > 1)
        file_type = recipe(matrices.most_common(1)[0][0] if matrices else "f32").file_type
    return StoredTypes(kept, file_type)


def _kept_type(tensor: Tensor) -> TensorType:
    if len(tensor.shape) < 2:
        return types.get("f32")
    kept = types.get(tensor.type.name.removesuffix("_v1").removesuffix("_v2"))
    if kept.generation != "gguf":
        raise UnsupportedTypeError(
            f"{tensor.name} is {tensor.type}, which today's files don't have; say which type to "
            "write"
        )
    return kept


def container_of(out: Path) -> str:
    """The container that a file's suffix names; ConversionError if it names none."""
    suffix = out.suffix.lower()
    if suffix == ".gguf":
        return "gguf"
    if suffix in (".bin", ".ggml", ".ggjt"):
        return "ggjt"
    raise ConversionError(
        f"the suffix of {out.name} names no container; use .gguf or .bin, or say which"
    )


def finite(tensor: Tensor) -> Tensor:
    """The same tensor, refusing values that became infinite in float16."""
    if tensor.type.name != "f16":
        return tensor

    def data() -> npt.NDArray[np.uint8]:
        found = tensor.data
        bits = found.view(np.uint16)
        if ((bits & _FLOAT16_INFINITY) == _FLOAT16_INFINITY).any():
            raise ConversionError(
                f"{tensor.name} has values outside float16's range; use type bf16 or f32"
            )
        return found

    return Tensor(tensor.type, tensor.shape, data, tensor.name, [tensor])


def _check_fits_ggjt(source: Source) -> None:
    """Refuse what ggjt has no field for; its writer sees to the rest.

    Programs that read it take the key/value heads, the head size and the rotation as the first
    LLaMA had them, so a file that differs would run and give nonsense.
    """
    hparams = source.hparams()
    what = None
    if hparams.architecture != "llama":
        what = f"the architecture {hparams.architecture!r}"
    elif hparams.qkv_bias or hparams.output_bias or hparams.mlp_bias:
        what = "biases"
    elif hparams.window:
        what = f"a sliding window of {hparams.window} tokens"
    elif hparams.query_scale or hparams.score_cap or hparams.logit_cap:
        what = "scaled or capped scores and logits"
    elif hparams.kv_heads != hparams.heads:
        what = f"grouped attention ({hparams.kv_heads} key/value heads for {hparams.heads} heads)"
    elif hparams.head_dim * hparams.heads != hparams.dim:
        what = f"a head size of {hparams.head_dim} that is not the width divided by the heads"
    elif hparams.rotated:
        what = f"a rotation of {hparams.rotated} of a head's {hparams.head_dim} elements"
    elif hparams.scaling or hparams.llama3 or hparams.long_rope:
        what = "rope scaling"
    if what is not None:
        raise ConversionError(f"ggjt cannot hold {what}; write a gguf file instead")
    source.tensors.pop(names.ROPE_FREQS, None)  # all ones, or it would be a scaling
