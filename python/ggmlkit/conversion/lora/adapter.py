"""LoRA adapters of any form: low-rank updates of a model's weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ggmlkit.arch.architectures import ARCHITECTURES
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.arguments import number, path_text, shown
from ggmlkit.errors import ArgumentError, ArgumentTypeError, ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor

MERGE = "add it to the model's weights with apply-lora"

# Their product is a float32.
_LARGEST_SCALE, _LARGEST_USER_SCALE = 1e30, 1e6

AdapterPath: TypeAlias = str | os.PathLike[str]
Scaled: TypeAlias = AdapterPath | tuple[AdapterPath, float]


@dataclass(frozen=True)
class BaseModel:
    """The model that an adapter is for.

    Attributes:
        architecture: as gguf names it.
        hparams: returns its hyper-parameters; called only if the values' order depends on them.
    """

    architecture: str
    hparams: Callable[[], Hparams]


@dataclass(frozen=True)
class Update:
    """An adapter's update of one weight, which adds ``scale * b @ a``.

    With DoRA, each row of the sum gets the length that ``magnitude`` gives it (Liu et al., 2024).

    Attributes:
        a: ``(rank, in)``, lazy.
        b: ``(out, rank)``, lazy, its rows in Meta's order as the weight's.
        scale: alpha divided by the rank, or the scale that the adapter has in its place.
        magnitude: DoRA's ``(out,)``, lazy, in the order of the rows; None for plain LoRA.
    """

    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    @property
    def tensors(self) -> list[Tensor]:
        """Its matrices, and the magnitude if there is one."""
        return [each for each in (self.a, self.b, self.magnitude) if each is not None]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the weight that it updates."""
        return self.b.shape[0], self.a.shape[1]


@dataclass
class Adapter:
    """An adapter about to be applied or written in another form; close it after use.

    Attributes:
        path: the file or folder it came from.
        architecture: of the models it is for, as gguf names it; None if it is not known.
        updates: by the gguf name of the weight.
        files: open files behind the tensors.
        replaced: whole tensors that it has in place of the model's, by gguf name, lazy (PEFT's
            ``modules_to_save`` and trained biases).
    """

    path: Path
    architecture: str | None
    updates: dict[str, Update]
    files: list[ModelFile] = field(default_factory=list)
    replaced: dict[str, Tensor] = field(default_factory=dict)

    def close(self) -> None:
        for file in self.files:
            file.close()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all weights that it changes or replaces, by gguf name."""
        whole = {name: tensor.shape for name, tensor in self.replaced.items()}
        return {name: update.shape for name, update in self.updates.items()} | whole

    @property
    def dora_weights(self) -> set[str]:
        """The weights whose rows get the lengths that DoRA sets, by gguf name."""
        return {name for name, each in self.updates.items() if each.magnitude is not None}

    def check_fits(self, shapes: Mapping[str, tuple[int, ...]], architecture: str) -> None:
        """Raise ConversionError unless a model with weights of these shapes can take it."""
        if self.architecture not in (None, architecture):
            raise ConversionError(
                f"{self.path} is for models of the architecture {self.architecture!r}, "
                f"not {architecture!r}"
            )
        for name, shape in self.shapes.items():
            if name in (EMBEDDINGS, OUTPUT) and OUTPUT not in shapes:
                raise ConversionError(self._why_not_tied(name, architecture))
            if name not in shapes:
                raise ConversionError(f"{self.path} changes {name}, which the model doesn't have")
            if shapes[name] != shape:
                raise ConversionError(
                    f"{self.path} changes {name} of shape {shape}, "
                    f"but the model's has shape {tuple(shapes[name])}"
                )

    def _why_not_tied(self, name: str, architecture: str) -> str:
        what = {
            EMBEDDINGS: "which is this model's output matrix too",
            OUTPUT: f"which in this model is {EMBEDDINGS}",
        }
        way_out = MERGE
        if architecture in ARCHITECTURES and ARCHITECTURES[architecture].is_tied:
            way_out = f"files of the architecture {architecture!r} have one matrix for both"
        return f"{self.path} changes {name}, {what[name]}; {way_out}"

    def check_is_low_rank(self, where: str) -> None:
        """Raise ConversionError, naming it, for anything but products of two low-rank matrices.

        ``where`` names the form that can't have it, such as "a gguf adapter".
        """
        if self.replaced:
            raise ConversionError(
                f"{self.path} has a whole {min(self.replaced)} in place of the model's "
                f"(modules_to_save, or a trained bias), which {where} can't have; {MERGE}"
            )
        if self.dora_weights:
            raise ConversionError(
                f"{self.path} is DoRA (use_dora): it sets the length of each row of "
                f"{min(self.dora_weights)}, which {where} can't do; {MERGE}"
            )


def with_scales(adapters: AdapterPath | Sequence[Scaled]) -> list[tuple[Path, float]]:
    """The path and the scale of each adapter, or of the only one; the scale is 1 if none is given.

    Raises ConversionError for a scale above a million, ArgumentError for a value that is not an
    adapter, or a scale that is not a number.
    """
    if isinstance(adapters, (str, bytes, os.PathLike)):
        adapters = [adapters]
    if not isinstance(adapters, Iterable):
        raise ArgumentTypeError(f"adapters must be a path or a list of them, not {shown(adapters)}")
    found = []
    for adapter in adapters:
        if isinstance(adapter, tuple) and len(adapter) != 2:
            raise ArgumentError("an adapter is a path, or a pair of a path and a scale")
        path, given = adapter if isinstance(adapter, tuple) else (adapter, 1.0)
        path_text(path, "the path of an adapter")
        scale = number(given, "the scale of an adapter")
        if not abs(scale) <= _LARGEST_USER_SCALE:
            raise ConversionError(
                f"adapter {path} can't be applied with scale {scale:g}; "
                f"use at most {_LARGEST_USER_SCALE:g}"
            )
        found.append((Path(path), float(scale)))
    return found


def checked_update(path: Path, name: str, a: Tensor, b: Tensor, scale: float) -> Update:
    """The update of two matrices; FormatError if their shapes don't fit each other."""
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or 0 in a.shape + b.shape:
        raise FormatError(
            path, None, f"A and B of {name} don't fit: their shapes are {a.shape} and {b.shape}"
        )
    if not abs(scale) <= _LARGEST_SCALE:
        raise FormatError(path, None, f"the update of {name} has the scale {scale}")
    return Update(a, b, scale)
