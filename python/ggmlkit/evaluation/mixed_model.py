"""Models whose tensors come from two files: what a part of a quantization costs alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ggmlkit.arch.tensor_names import EMBEDDINGS
from ggmlkit.errors import ArgumentError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.gguf_view import as_gguf

if TYPE_CHECKING:
    from ggmlkit.tensor import Tensor

_Value = TypeVar("_Value")


class MixedFile(ModelFile):
    """The base's tensors, some of them replaced by those of its quantization.

    Args:
        base: an open model; it stays open.
        replaced: tensors by gguf's names, in place of the base's of these names.
    """

    def __init__(self, base: ModelFile, replaced: Mapping[str, Tensor]) -> None:
        metadata, tensors = as_gguf(base)
        super().__init__(base.path, "gguf", version=3, metadata=metadata)
        self._tensors = {**tensors, **replaced}
        self._base = base

    def check(self) -> None:
        """Raise FormatError if the base's file has been cut short since it was opened."""
        self._base.check()


def matrices(base: ModelFile, quantized: ModelFile) -> dict[str, tuple[Tensor, Tensor]]:
    """The matrices of a model and of its quantization, by gguf's names.

    Raises:
        ArgumentError: the files do not hold the same matrices.
    """
    _, ours = as_gguf(base)
    _, theirs = as_gguf(quantized)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, tensor in ours.items():
        if len(tensor.shape) < 2:
            continue
        other = theirs.get(name)
        if other is None or other.shape != tensor.shape:
            what = "no such tensor" if other is None else f"one of shape {other.shape}"
            raise ArgumentError(
                f"{quantized.path} is not made of {base.path}: that has {name} of shape "
                f"{tensor.shape}, this has {what}"
            )
        found[name] = (tensor, other)
    return found


def part_of(name: str) -> str:
    """The part of a model that a tensor belongs to: ``layer 3``, ``token_embd``, ``output``."""
    words = name.split(".")
    if words[0] == "blk" and len(words) > 2 and words[1].isdecimal():
        return f"layer {int(words[1])}"
    return words[0]


def parts_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of each part: the embeddings, the layers in their order, the rest."""
    found: dict[str, list[str]] = {}
    for name in in_order(dict.fromkeys(names)):
        found.setdefault(part_of(name), []).append(name)
    return found


def in_order(named: Mapping[str, _Value]) -> dict[str, _Value]:
    """What tensors' names stand for, in the order of the model's parts."""
    return {name: named[name] for name in sorted(named, key=_place)}


def _place(name: str) -> tuple[int, int]:
    """Where the part of a tensor is in a model."""
    kind, _, number = part_of(name).partition(" ")
    if number:
        return 1, int(number)
    return (0 if kind == part_of(EMBEDDINGS) else 2), 0
