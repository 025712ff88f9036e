"""The errors ggmlkit raises. Every message is one sentence that states the fact."""

from __future__ import annotations

import os
from math import isfinite


class GgmlkitError(Exception):
    """Base class: catch this to catch everything the library says about its input."""


class FormatError(GgmlkitError):
    """A file is damaged, truncated or not what it claims to be.

    Attributes:
        path: the file at fault.
        offset: byte offset of the fault, or ``None`` where no single place is at fault.
        reason: what is wrong there.
    """

    def __init__(self, path: str | os.PathLike[str], offset: int | None, reason: str) -> None:
        self.path = os.fspath(path)
        self.offset = offset
        self.reason = reason
        place = "" if offset is None else f"at byte {offset}: "
        super().__init__(f"{self.path}: {place}{reason}")


class UnsupportedTypeError(GgmlkitError):
    """The tensor type is known by name, but this operation has no kernel for it."""


class ConversionError(GgmlkitError):
    """A checkpoint cannot be turned into what was asked for."""


class UnstorableError(ConversionError, ValueError):
    """A weight has no place in the type that it was to be stored in: no number, or too large.

    Attributes:
        tensor: its name; empty where it has none.
        index: of the weight, one number for each size of the shape.
        value: the weight.
        type: that was asked for.
        holders: the types that this build writes and that hold it.
    """

    def __init__(
        self,
        tensor: str,
        index: tuple[int, ...],
        value: float,
        type: str,
        holders: tuple[str, ...] = (),
    ) -> None:
        self.tensor = tensor
        self.index = index
        self.value = value
        self.type = type
        self.holders = holders
        what = f"tensor {tensor!r}" if tensor else "the array"
        fault = f"too large for {type}" if isfinite(value) else f"but {type} needs finite values"
        way_out = f"; use {', '.join(holders)}" if holders else ""
        super().__init__(f"{what} holds {value:.9g} at {index}, {fault}{way_out}")


class ImportanceError(ConversionError, ValueError):
    """An importance matrix does not fit the weights that it is given for."""


class ModelError(GgmlkitError):
    """A file is well formed but is no model that this decoder or tokenizer can run."""


class HparamsError(ModelError, ConversionError):
    """What a model says of itself contradicts itself, or is not supported.

    Running and converting refuse it alike.
    """


class HubError(GgmlkitError):
    """The Hugging Face hub does not give what was asked for."""
