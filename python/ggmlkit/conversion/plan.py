"""What a conversion will write, known before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ggmlkit import types
from ggmlkit.arch import tensor_names as names
from ggmlkit.conversion.source import Source
from ggmlkit.errors import ConversionError, UnsupportedTypeError
from ggmlkit.io.base import ByteOrder
from ggmlkit.io.unknown_tensor import refuse_unknown
from ggmlkit.quantization.file import in_type
from ggmlkit.quantization.recipe import planned, recipe
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

_LAYOUT_VERSION = 2  # general.quantization_version of today's block layouts


class PlannedTensor(NamedTuple):
    """A tensor as it is in the source, and as it will be written."""

    source: Tensor
    target: Tensor


class StoredTypes(NamedTuple):
    """The types of a model's tensors in a file, and the file's own number for them.

    Attributes:
        by_name: the types.
        file_type: ``general.file_type``.
        notes: on the types, one sentence each.
    """

    by_name: Mapping[str, TensorType]
    file_type: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConversionPlan:
    """A model file about to be written.

    Attributes:
        out: its path.
        container: ``"gguf"`` or ``"ggjt"``.
        version: of the container; None for the newest.
        byte_order: of its numbers.
        metadata: by gguf key.
        tensors: by gguf name, lazy, in the order of the file.
        notes: on the tensors' types, one sentence each.
        value_types: GGUF types of metadata that was read, by key; the file keeps them.
    """

    out: Path
    container: str
    version: int | None
    byte_order: ByteOrder
    metadata: dict[str, Any]
    tensors: dict[str, PlannedTensor]
    notes: tuple[str, ...] = ()
    value_types: Mapping[str, int] = field(default_factory=dict)

    @property
    def targets(self) -> dict[str, Tensor]:
        """The tensors as they will be written."""
        return {name: planned.target for name, planned in self.tensors.items()}

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors in the file."""
        return sum(planned.target.nbytes for planned in self.tensors.values())


def conversion_plan(
    source: Source,
    out: Path,
    type: str | TensorType | StoredTypes,
    *,
    pure: bool = False,
    container: str | None = None,
    version: int | None = None,
    byte_order: ByteOrder = "little",
    threads: int | None = None,
) -> ConversionPlan:
    """How :func:`ggmlkit.convert` will write a model; the arguments are those of ``convert``.

    ``type`` can also give the type of each tensor.

    Raises ConversionError for what the container cannot hold, UnsupportedTypeError for a type
    that cannot be written.
    """
    container = container or container_of(out)
    tensors = source.tensors
    refuse_unknown(tensors.values())
    if container == "ggjt":
        _check_fits_ggjt(source)
        # These factors are all 1: rope scaling was refused above.
        tensors = {name: t for name, t in tensors.items() if name != names.ROPE_FREQS}
    stored = type if isinstance(type, StoredTypes) else stored_types(source, type, pure=pure)
    return ConversionPlan(
        out=out,
        container=container,
        version=version,
        byte_order=byte_order,
        metadata={
            **source.metadata,
            "general.file_type": stored.file_type,
            "general.quantization_version": _LAYOUT_VERSION,
        },
        tensors={
            name: PlannedTensor(tensor, in_type(tensor, stored.by_name[name], threads))
            for name, tensor in tensors.items()
        },
        notes=stored.notes,
        value_types=source.value_types,
    )


def stored_types(
    source: Source, type: str | TensorType | None, *, pure: bool = False
) -> StoredTypes:
    """The types of a file quantized to ``type``, as :func:`ggmlkit.quantization.plan` gives them.

    With None each matrix keeps its type, and vectors become f32.

    Raises UnsupportedTypeError if a matrix has an old layout, which new files can't have.
    """
    refuse_unknown(source.tensors.values())
    if type is not None:
        chosen = planned(source.tensors, type, pure=pure)
        notes = tuple(chosen.notes(source.tensors))
        return StoredTypes(chosen.types, recipe(type).file_type, notes)
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
            f"{tensor.name} is {tensor.type}, an old layout that new files can't have; choose the "
            "type to write (--type, type= in Python)"
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
        f"{out}: the suffix names no container; use .gguf or .bin, or name the container "
        "(--container)"
    )


def _check_fits_ggjt(source: Source) -> None:
    """Refuse what ggjt has no field for; its writer checks the rest.

    Programs that read it assume the key/value heads, the head size and the rotation of the first
    LLaMA, so a file that differs would run and give nonsense.
    """
    hparams = source.hparams()
    what = None
    if hparams.architecture != "llama":
        what = f"the architecture {hparams.architecture!r}"
    elif hparams.qkv_bias or hparams.output_bias or hparams.mlp_bias:
        what = "biases"
    elif hparams.window:
        what = f"a sliding window of {hparams.window} tokens"
    elif hparams.query_scale or hparams.attn_softcap or hparams.final_softcap:
        what = "scaled or capped scores and logits"
    elif hparams.kv_heads != hparams.heads:
        what = f"grouped attention ({hparams.kv_heads} key/value heads for {hparams.heads} heads)"
    elif hparams.head_dim * hparams.heads != hparams.dim:
        what = f"a head size of {hparams.head_dim}, which is not the width divided by the heads"
    elif not hparams.rotates_whole_heads:
        what = f"a rotation of {hparams.rope.dims} of a head's {hparams.head_dim} elements"
    elif not hparams.rope.is_plain:
        what = "rope scaling"
    if what is not None:
        raise ConversionError(f"ggjt cannot hold {what}; write a gguf file instead")
