"""LoRA adapters, whatever they came from: low-rank changes of a model's weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ggmlkit.arch.architectures import ARCHITECTURES
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor

MERGE = "add it to the model's weights with apply-lora"

# Their product is a float32.
_LARGEST_SCALE, _MOST_TIMES = 1e30, 1e6

AdapterPath: TypeAlias = str | os.PathLike[str]
Scaled: TypeAlias = AdapterPath | tuple[AdapterPath, float]


@dataclass(frozen=True)
class BaseModel:
    """The model that an adapter is for.

    Attributes:
        architecture: as gguf names it.
        hparams: tells its hyper-parameters; asked for where the values' order depends on them.
    """

    architecture: str
    hparams: Callable[[], Hparams]


@dataclass(frozen=True)
class Change:
    """What an adapter adds to one weight: ``scale * b @ a``.

    With DoRA, each row of the sum gets the length that ``magnitude`` gives it (Liu et al., 2024).

    Attributes:
        a: ``(rank, in)``, lazy.
        b: ``(out, rank)``, lazy, its rows in Meta's order as the weight's.
        scale: alpha divided by the rank, or what the adapter has in its place.
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
        """All that it is made of."""
        return [each for each in (self.a, self.b, self.magnitude) if each is not None]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight."""
        return self.b.shape[0], self.a.shape[1]


@dataclass
class Adapter:
    """An adapter about to be applied or written in another form; close it after use.

    Attributes:
        path: the file or folder it came from.
        architecture: of the models it is for, as gguf names it; None where nothing says.
        changes: by the gguf name of the weight.
        files: open files behind the tensors.
        replaced: whole tensors that it has in place of the model's, by gguf name, lazy (PEFT's
            ``modules_to_save`` and trained biases).
    """

    path: Path
    architecture: str | None
    changes: dict[str, Change]
    files: list[ModelFile] = field(default_factory=list)
    replaced: dict[str, Tensor] = field(default_factory=dict)

    def close(self) -> None:
        for file in self.files:
            file.close()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all weights that it changes or replaces, by gguf name."""
        whole = {name: tensor.shape for name, tensor in self.replaced.items()}
        return {name: change.shape for name, change in self.changes.items()} | whole

    @property
    def lengthened(self) -> set[str]:
        """The weights whose rows get a length of their own (DoRA), by gguf name."""
        return {name for name, each in self.changes.items() if each.magnitude is not None}

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
                    f"{self.path} changes {name} as if of shape {shape}, "
                    f"but it is {tuple(shapes[name])}"
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
        """Raise ConversionError, naming it, for anything but products of two narrow matrices.

        ``where`` says what can't have it: "a gguf adapter".
        """
        if self.replaced:
            raise ConversionError(
                f"{self.path} has a whole {min(self.replaced)} in place of the model's "
                f"(modules_to_save, or a trained bias), which {where} can't have; {MERGE}"
            )
        if self.lengthened:
            raise ConversionError(
                f"{self.path} is DoRA (use_dora): it sets the length of each row of "
                f"{min(self.lengthened)}, which {where} can't do; {MERGE}"
            )


def with_scales(adapters: AdapterPath | Sequence[Scaled]) -> list[tuple[Path, float]]:
    """Each adapter's path, or the only one's, and how strongly it is applied: 1 if nothing is said.

    Raises ConversionError for a strength that is no number, or beyond a million times.
    """
    if isinstance(adapters, (str, os.PathLike)):
        adapters = [adapters]
    found = []
    for adapter in adapters:
        path, scale = adapter if isinstance(adapter, tuple) else (adapter, 1.0)
        if not abs(scale) <= _MOST_TIMES:
            raise ConversionError(
                f"adapter {path} can't be applied {scale:g} times, at most {_MOST_TIMES:g}"
            )
        found.append((Path(path), float(scale)))
    return found


def checked_change(path: Path, name: str, a: Tensor, b: Tensor, scale: float) -> Change:
    """The two halves put together; FormatError where they don't fit each other."""
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or 0 in a.shape + b.shape:
        raise FormatError(
            path, None, f"the halves of {name} have the shapes {a.shape} and {b.shape}"
        )
    if not abs(scale) <= _LARGEST_SCALE:
        raise FormatError(path, None, f"the change of {name} is scaled by {scale}")
    return Change(a, b, scale)
