"""Observers: functions that see the activations that enter a model's matrices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ggmlkit import _core
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.arguments import shown
from ggmlkit.errors import ArgumentTypeError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Called with names of matrices and the activations that they multiply: float32 (tokens, columns).
Observer = Callable[[tuple[str, ...], "NDArray[np.float32]"], object]

_MATRICES = {
    _core.Input.ATTN_NORM: ("attn_q", "attn_k", "attn_v"),
    _core.Input.ATTENDED: ("attn_output",),
    _core.Input.FFN_NORM: ("ffn_gate", "ffn_up"),
    _core.Input.HIDDEN: ("ffn_down",),
}


_running = threading.local()  # is_observing: whether this thread runs an observer


def refuse_in_observer() -> None:
    """Refuse what would wait for the step that waits for this thread's observer.

    Raises:
        ModelError: an observer runs in this thread.
    """
    if getattr(_running, "is_observing", False):
        raise ModelError(
            "an observer can't use models and sequences, as their step waits for it; keep the "
            "activations, and do the rest after the step"
        )


class Observing:
    """Calls an observer as the engine does.

    Attributes:
        error: that the observer raised.

    Raises:
        ArgumentTypeError: the observer is not a function.
    """

    def __init__(self, observer: Observer, has_output: bool) -> None:
        if not callable(observer):
            raise ArgumentTypeError(f"observer must be a function, not {shown(observer)}")
        self._observer = observer
        self._output = OUTPUT if has_output else EMBEDDINGS  # which is used in its place
        self.error: BaseException | None = None

    def __call__(self, layer: int, input: _core.Input, x: NDArray[np.float32]) -> None:
        parts = _MATRICES.get(input)
        names: tuple[str, ...] = (self._output,)
        if parts is not None:
            names = tuple(f"blk.{layer}.{part}.weight" for part in parts)
        _running.is_observing = True
        try:
            self._observer(names, x)
        except BaseException as error:
            self.error = error
            raise
        finally:
            _running.is_observing = False
