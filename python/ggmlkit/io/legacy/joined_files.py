"""Models of 13B and more from before gguf: files ``NAME``, ``NAME.1``, … joined into one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.errors import FormatError
from ggmlkit.io.legacy.one_file import LegacyPart
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Matrices of which each part of a model in several files holds some columns; of others, rows.
_SPLIT_BY_COLUMNS = (
    "tok_embeddings.weight",
    "attention.wo.weight",
    "feed_forward.w2.weight",
)


def first_part_of(part: LegacyPart) -> Path | None:
    """Where the first file of a model lies that ``part`` is a later file of; ``None`` if it isn't.

    A later file looks like a first one, so the name tells: ``NAME.1`` beside ``NAME``.
    """
    suffix = part.path.suffix[1:]
    first = part.path.with_suffix("")
    if not suffix.isdecimal() or not is_slice(part) or not first.is_file():
        return None
    return first


def is_slice(part: LegacyPart) -> bool:
    """Whether a file's embeddings are narrower than its model."""
    embeddings = part.tensors.get("tok_embeddings.weight")
    return (
        part.container != "ggjt"
        and embeddings is not None
        and embeddings.shape[-1] < part.hyperparameters.n_embd
    )


def other_parts(first: LegacyPart) -> list[Path]:
    """The files NAME.1, NAME.2, … that belong to a model, as the width of the first tells."""
    embeddings = first.tensors.get("tok_embeddings.weight")
    if first.container == "ggjt" or embeddings is None or not embeddings.shape[-1]:
        return []
    count, rest = divmod(first.hyperparameters.n_embd, embeddings.shape[-1])
    if rest or not count:
        raise FormatError(
            first.path,
            None,
            f"the embeddings are {embeddings.shape[-1]} wide, which is no part of "
            f"{first.hyperparameters.n_embd}",
        )
    paths: list[Path] = []
    for number in range(1, count):
        path = first.path.with_name(f"{first.path.name}.{number}")
        if not path.exists():
            raise FormatError(
                first.path,
                None,
                f"the model has {count} files, but {path.name} isn't beside it",
            )
        paths.append(path)
    return paths


def joined_tensors(parts: list[LegacyPart]) -> dict[str, Tensor]:
    """The whole model's tensors by name, each joined of all parts' slices when it is read."""
    first = parts[0]
    if len(parts) == 1:
        return first.tensors
    for part in parts[1:]:
        same = replace(part.hyperparameters, file_type=first.hyperparameters.file_type)
        if part.container != first.container or same != first.hyperparameters:
            raise FormatError(part.path, 0, f"this is no part of the model in {first.path.name}")
        if new := part.tensors.keys() - first.tensors.keys():
            raise FormatError(
                part.path, None, f"tensor {min(new)!r} isn't in {first.path.name}, the first part"
            )
    joined: dict[str, Tensor] = {}
    for name, tensor in first.tensors.items():
        slices = [tensor]
        for part in parts[1:]:
            found = part.tensors.get(name)
            if found is None or (found.type, found.shape) != (
                tensor.type,
                tensor.shape,
            ):
                raise FormatError(part.path, None, f"tensor {name!r} doesn't fit its other parts")
            slices.append(found)
        joined[name] = tensor if len(tensor.shape) == 1 else _join(name, slices)
    return joined


def _join(name: str, slices: list[Tensor]) -> Tensor:
    """A lazy tensor of slices beside or below each other."""
    rows, *columns = slices[0].shape
    by_columns = name.endswith(_SPLIT_BY_COLUMNS)
    if by_columns:
        shape = (rows, *columns[:-1], columns[-1] * len(slices))
    else:
        shape = (rows * len(slices), *columns)

    def data() -> NDArray[np.uint8]:
        parts = [part.data for part in slices]
        if not by_columns:
            return np.concatenate(parts)
        return np.concatenate([part.reshape(slices[0].rows, -1) for part in parts], axis=1).ravel()

    return Tensor(slices[0].type, shape, data, name, slices)
