"""Measures a model's sensitivities, and compares the best mixtures of each size with recipes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ggmlkit import io
from ggmlkit.arguments import check_paths, check_progress, shown, thread_count
from ggmlkit.calibration.budget import check_scipy
from ggmlkit.calibration.calibration import Calibration
from ggmlkit.calibration.choosing import Sensitivities, TypeChoice
from ggmlkit.errors import ArgumentTypeError
from ggmlkit.io.gguf_view import as_gguf
from ggmlkit.io.unknown_tensor import refuse_unknown
from ggmlkit.quantization.calibrating import Request
from ggmlkit.quantization.mixtures import MIXTURES
from ggmlkit.quantization.recipe import chosable, plan

if TYPE_CHECKING:
    from ggmlkit.tensor import Tensor
    from ggmlkit.types import TensorType

# What a matrix whose type is not chosen yet is taken to get.
_PLACEHOLDER = "q8_0"


def sensitivities(
    model: str | os.PathLike[str],
    calibration: Calibration,
    *,
    tensor_types: Sequence[tuple[str, TensorType | str]] = (),
    threads: int | None = None,
    progress: io.Progress | None = None,
) -> Sensitivities:
    """Measure what it costs to store each matrix of a model in each type.

    A part of each matrix is rounded to every type that can be calibrated, which says how large the
    error of its output is. Matrices are then rounded one at a time while the others stay as they
    are, which says what an error costs.

    Args:
        model: a model file; best of float weights.
        calibration: whose text the model runs on, and how matrices will be rounded.
        tensor_types: as of :func:`quantize_file`: these matrices' types are not to be chosen.
        threads: at most so many; all that the process may use when None.
        progress: called with (work done, in all, what is done next).

    Raises:
        FormatError: the file is damaged, or the text is not UTF-8.
        ModelError: the engine can't run the model.
        ArgumentError: the text is too short, or scipy is missing.
    """
    check_paths(model=model)
    check_progress(progress)
    thread_count(threads)
    check_scipy()
    if not isinstance(calibration, Calibration):
        raise ArgumentTypeError(
            f'calibration must be as in gk.Calibration("text.txt"), not {shown(calibration)}'
        )
    with closing(io.open(model)) as source:
        metadata, tensors = as_gguf(source)
        refuse_unknown(tensors.values())
        out = Path(tempfile.gettempdir()) / "sensitivities"  # large sums lie beside it
        types = plan(tensors, _PLACEHOLDER, tensor_types=tensor_types)
        request = Request(source, metadata, tensors, types, out, threads=threads, progress=progress)
        return calibration.sensitivities(request, chosable(tensors, tensor_types))


def recipes_of(model: str | os.PathLike[str], measured: Sensitivities) -> dict[str, TypeChoice]:
    """What the recipes whose types were measured come to, by name, the smallest first."""
    with closing(io.open(model)) as source:
        _, tensors = as_gguf(source)
        found = {name: _recipe(name, tensors, measured) for name in (*MIXTURES, "q6_K", "q8_0")}
    known = {name: choice for name, choice in found.items() if choice is not None}
    return dict(sorted(known.items(), key=lambda item: item[1].nbytes))


def _recipe(name: str, tensors: Mapping[str, Tensor], measured: Sensitivities) -> TypeChoice | None:
    types = plan(tensors, name, weighted=True)
    if any(types[each].name not in own.types for each, own in measured.matrices.items()):
        return None
    return measured.of_types(types)
