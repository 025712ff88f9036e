"""Scales chosen by the importance of columns alone: without a text, and without running a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

import numpy as np

from ggmlkit._version import __version__
from ggmlkit.calibration.matrices import Entering, Rounding
from ggmlkit.calibration.progress import Meter
from ggmlkit.calibration.rounding import can_calibrate
from ggmlkit.calibration.staging import Staging, naming
from ggmlkit.quantization.calibrating import Request, Rounded
from ggmlkit.storing import Importance


@dataclass(frozen=True)
class ScaleSearch:
    """How to round by importance: for ``gk.quantize_file(…, importance=…, calibrate=…)``.

    Each block gets the scale that makes the least error, where an error counts by the importance of
    its column. This is slower than the quantizers that `importance` alone uses, which choose as
    llama.cpp does, and loses less. A matrix without importance, of several experts, or of a type
    that can't be calibrated is made as without it.
    """

    takes_importance: ClassVar[bool] = True

    @contextmanager
    def rounding(self, request: Request) -> Iterator[Rounded]:
        """Do the work for `quantize_file`.

        Raises:
            UnstorableError: a weight is not finite, or too large for its type.
            OSError: the disk is full.
        """
        targets = {
            name: target
            for name, target in request.types.items()
            if name in request.importance
            and len(request.tensors[name].shape) == 2
            and target != request.tensors[name].type
            and can_calibrate(target)
        }
        meter = Meter(request.progress, sum(request.tensors[name].size for name in targets))
        errors = []
        with ExitStack() as stack:
            stack.enter_context(naming(request.out))
            staging = stack.enter_context(Staging(request.out))
            rounding = Rounding("search", staging, request.threads)
            for name, target in targets.items():
                meter.begin(name)
                entering = _entering(request.importance[name])
                outcome = rounding.matrix(request.tensors[name], target, entering)
                errors += [outcome.error] if outcome.is_kept else []
                meter.advance(request.tensors[name].size, name)
            meter.end()
            yield Rounded(staging.tensors, _metadata(len(errors)), _notes(errors))


def _entering(importance: Importance) -> Entering:
    weights = importance.weights[0]
    # The error of a token that enters by one column alone counts as that column's importance says.
    tokens = np.sqrt(weights, dtype=np.float32)
    return Entering(weights, tokens, importance=importance)


def _metadata(count: int) -> dict[str, object]:
    return {
        "quantize.calibration.method": "search",
        "quantize.calibration.entries_count": count,
        "quantize.calibration.version": f"ggmlkit {__version__}",
    }


def _notes(errors: list[float]) -> list[str]:
    if not errors:
        return ["no matrix has both importance and a type that can be calibrated: the search for "
                "scales changed nothing"]  # fmt: skip
    return [
        f"the scales of {len(errors)} matrices are searched for: by importance, the error is "
        f"{median(errors):.2f} of that without the search (median; {min(errors):.2f} to "
        f"{max(errors):.2f})"
    ]
