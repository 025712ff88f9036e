"""Large models (13B and more) before gguf: files ``NAME``, ``NAME.1``, …, joined into one."""

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

# Matrices that are split by columns across the files of a model; the others are split by rows.
_SPLIT_BY_COLUMNS = (
    "tok_embeddings.weight",
    "attention.wo.weight",
    "feed_forward.w2.weight",
)


def first_part_of(part: LegacyPart) -> Path | None:
    """The model's first file, if ``part`` is a later file of one; else ``None``.

    A later file looks like a first one, so the name decides: ``NAME.1`` beside ``NAME``.
    """
    suffix = part.path.suffix[1:]
    first = part.path.with_suffix("")
    if not suffix.isdecimal() or not is_slice(part) or not first.is_file():
        return None
    return first


def is_slice(part: LegacyPart) -> bool:
    """Whether a file holds only a part of a model: its embeddings are narrower than the model."""
    embeddings = part.tensors.get("tok_embeddings.weight")
    return (
        part.container != "ggjt"
        and embeddings is not None
        and embeddings.shape[-1] < part.hyperparameters.n_embd
    )


def other_parts(first: LegacyPart) -> list[Path]:
    """The files NAME.1, NAME.2, … of a model; the width of the first's embeddings decides."""
    embeddings = first.tensors.get("tok_embeddings.weight")
    if first.container == "ggjt" or embeddings is None or not embeddings.shape[-1]:
        return []
    count, rest = divmod(first.hyperparameters.n_embd, embeddings.shape[-1])
    if rest or not count:
        raise FormatError(
            first.path,
            None,
            f"the embeddings are {embeddings.shape[-1]} wide, which does not divide "
            f"{first.hyperparameters.n_embd}",
        )
    paths: list[Path] = []
    for number in range(1, count):
        path = first.path.with_name(f"{first.path.name}.{number}")
        if not path.exists():
            raise FormatError(
                first.path,
                None,
                f"the model has {count} files, but {path.name} is missing",
            )
        paths.append(path)
    return paths


def joined_tensors(parts: list[LegacyPart]) -> dict[str, Tensor]:
    """The whole model's tensors by name; the slices of all parts are joined when one is read."""
    first = parts[0]
    if len(parts) == 1:
        return first.tensors
    for part in parts[1:]:
        same = replace(part.hyperparameters, file_type=first.hyperparameters.file_type)
        if part.container != first.container or same != first.hyperparameters:
            raise FormatError(part.path, 0, f"this is not a part of the model in {first.path.name}")
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
    """A lazy tensor that joins slices by columns or by rows."""
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
