"""Checkpoint or model file in, model file out, one tensor at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ggmlkit import io
from ggmlkit.conversion import names
from ggmlkit.conversion.source import Source, open_source
from ggmlkit.errors import ConversionError
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

_LAYOUT_VERSION = 2  # general.quantization_version of today's block layouts
_FLOAT16_INFINITY = 0x7C00


def convert(
    src: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    type: str | TensorType = "f16",
    container: str | None = None,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> None:
    """Write the model in ``src`` as one model file, all matrices in ``type``.

    Args:
        src: a Hugging Face or Meta folder, a file of tensors that has its settings beside it, or
            any model file ``gk.open`` reads. Layers quantized by GPTQ or AWQ keep their integers
            where ``type`` has room for them.
        out: the file to write, replaced only when it is complete.
        type: of the matrices: f32, f16, bf16, q8_0, q5_0, q5_1, q4_0 or q4_1. Vectors are stored
            as f32, matrices whose rows are not whole blocks as f16.
        container: ``"gguf"`` or ``"ggjt"``; by default the suffix of ``out`` tells.
        threads: at most this many; all the process may use when None.
        progress: as ``gk.save`` calls it.

    Raises:
        ConversionError: the model has something that this library or the container cannot hold.
        FormatError: the input is damaged.
        UnsupportedTypeError: ``type`` cannot be written, or a tensor of ``src`` cannot be read.
    """
    from ggmlkit.quantization.file import in_type
    from ggmlkit.quantization.recipe import plan, recipe

    container = container or _container_of(Path(out))
    with closing(open_source(src, wanted=str(type).lower())) as source:
        if container == "ggjt":
            _check_fits_ggjt(source)
        chosen = plan(source.tensors, type, pure=True)
        tensors = {
            name: finite(in_type(tensor, chosen[name], threads))
            for name, tensor in source.tensors.items()
        }
        metadata = {
            **source.metadata,
            "general.file_type": recipe(type).file_type,
            "general.quantization_version": _LAYOUT_VERSION,
        }
        io.save(Path(out), tensors, metadata, container=container, progress=progress)


def _container_of(out: Path) -> str:
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
