"""Observers: functions that see the activations that enter a model's matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ggmlkit import _core
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.arguments import shown
from ggmlkit.engine.in_step import observing
from ggmlkit.errors import ArgumentTypeError

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


def matrices_of(layer: int, input: _core.Input) -> tuple[str, ...]:
    """Names of the layer's matrices that an input enters; none for that of the output matrix."""
    return tuple(f"blk.{layer}.{part}.weight" for part in _MATRICES.get(input, ()))


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
        names = matrices_of(layer, input) or (self._output,)
        with observing():
            try:
                self._observer(names, x)
            except BaseException as error:
                self.error = error
                raise
