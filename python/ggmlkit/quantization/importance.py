"""Importance by tensor name, fitted to the tensors of a model."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggmlkit.arguments import mapping
from ggmlkit.arrays import as_numpy
from ggmlkit.errors import ImportanceError
from ggmlkit.storing import Importance
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType


def fitted(
    importance: Mapping[str, NDArray[Any]], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Importance], list[str]]:
    """The importance of each tensor that has one, and notes on entries that can't be used.

    Raises ImportanceError if one does not fit its tensor, or has values that can't be importance,
    or if all are for other tensors; ArgumentTypeError if they are not numbers by name.
    """
    mapping(importance, "importance", "gk.read_imatrix(path).importance")
    if importance and not importance.keys() & tensors.keys():
        raise ImportanceError(
            f"the importance matrix is another model's: of its {len(importance)} entries, such as "
            f"{next(iter(importance))}, none is for a tensor of this model"
        )
    found: dict[str, Importance] = {}
    unseen: list[str] = []
    for name, values in importance.items():
        if name not in tensors:
            continue
        own = Importance.of(
            as_numpy(values, f"the importance of {name}"), tensors[name].shape, name
        )
        seen: NDArray[np.bool_] = own.weights.max(axis=1, initial=0) > 0
        if seen.any():
            found[name] = own
        if not seen.all():
            unseen.append(name if len(seen) == 1 else f"{name} (experts {_numbers(seen)})")
    return found, _notes(importance, tensors, unseen) if importance else []


def _notes(
    importance: Mapping[str, NDArray[Any]], tensors: Mapping[str, Tensor], unseen: list[str]
) -> list[str]:
    notes = []
    lacking = [name for name in importance if name not in tensors]
    if lacking:
        notes.append(
            f"{len(lacking)} of {len(importance)} entries of the importance matrix are for tensors "
            f"that the model doesn't have: {some(lacking)}"
        )
    if unseen:
        notes.append(f"no importance was counted for {some(unseen)}: quantized without it")
    return notes


def left_out(
    importance: Mapping[str, NDArray[Any]],
    tensors: Mapping[str, Tensor],
    chosen: Mapping[str, TensorType],
    weighed: Container[str] = (),
) -> list[str]:
    """Notes on matrices that are quantized without importance although some was given.

    ``chosen`` is the type that each tensor is stored in, ``weighed`` are made with it in another
    way.
    """
    if not importance:
        return []
    made = [
        name
        for name, target in chosen.items()
        if target.is_quantized and tensors[name].type != target and name not in weighed
    ]
    useless = sorted({chosen[name].name for name in made if not chosen[name].takes_importance})
    lacking = [n for n in made if chosen[n].takes_importance and n not in importance]
    notes = []
    if useless:
        notes.append(
            f"{', '.join(useless)} can't use importance: such matrices are made without it"
        )
    if lacking:
        notes.append(
            f"{len(lacking)} of {len(made)} matrices have no entry in the importance matrix and "
            f"are quantized without it: {some(lacking)}"
        )
    return notes


def _numbers(seen: NDArray[np.bool_]) -> str:
    return some([str(number) for number in np.flatnonzero(~seen)])


def some(names: Sequence[str], most: int = 4) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
