"""The last pass of a calibration, which needs torch: what it starts from, and what it says."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.calibration.samples import HELD_OUT
from ggmlkit.errors import ArgumentError
from ggmlkit.quantization.calibrating import Request, Rounded
from ggmlkit.quantization.file import in_type

if TYPE_CHECKING:
    from ggmlkit.calibration.layers import Text
    from ggmlkit.calibration.staging import Staging


def check_torch() -> None:
    """Raise ArgumentError if there is no torch, before anything is computed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ArgumentError(f"tune needs torch: pip install ggmlkit[torch] ({error})") from None


def samples_to_tune(steps: int, least: int) -> int:
    """Samples that are wanted: one for each step, beside those that are held out."""
    return max(least, ceil(steps * HELD_OUT / (HELD_OUT - 1)))


def with_tuning(
    made: Rounded, request: Request, text: Text, staging: Staging, steps: int
) -> Rounded:
    """What a calibration made, tuned; as it was, with a note, if that is no better.

    Args:
        made: the calibrated matrices.
        request: what is to be made.
        text: the float model, and the samples to tune with.
        staging: gets the tensors that are not calibrated, in their types.
        steps: of training.

    Raises:
        ModelError: the engine can't run the float model.
        OSError: the disk is full.
    """
    from ggmlkit.calibration.training import PARTS, tuned  # needs torch

    def report(done: int, what: str) -> None:
        if request.progress is not None:
            request.progress(done, PARTS, what)

    _stage_others(request, staging)
    found = tuned(text, staging.tensors, steps, report)
    report(PARTS, "")
    before, after = (f"{each:.4f}" for each in (found.before, found.after))
    if not found.tensors:
        note = (
            f"tuning made it no better on {found.tokens} tokens that were held out (KL divergence "
            f"from the float model: {before}): left as it was"
        )
        return replace(made, notes=[*made.notes, note])
    note = (
        f"tuned: on {found.tokens} tokens that were held out, the KL divergence from the float "
        f"model went from {before} to {after}"
    )
    return Rounded(
        {**made.tensors, **found.tensors},
        {**made.metadata, "quantize.calibration.tune_steps": steps},
        [*made.notes, note],
    )


def _stage_others(request: Request, staging: Staging) -> None:
    """Write down the tensors that are not made yet: they are read many times."""
    for name, tensor in request.tensors.items():
        if name in staging.tensors:
            continue
        kind = request.types[name]
        data = np.asarray(in_type(tensor, kind, request.threads).data)
        begin = staging.place(data.nbytes)
        staging.write(begin, data)
        staging.complete(name, kind, tensor.shape, begin)
