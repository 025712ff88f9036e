"""The errors ggmlkit raises. Every message is one sentence that states the fact."""

from __future__ import annotations

import os
from collections.abc import Iterable
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
    """A weight that a type can't hold: it is not finite, or too large.

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


class ArgumentError(GgmlkitError, ValueError):
    """An argument has a value that can't be used; the message names it."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of a type that can't be used, such as bytes for a text."""


class OutOfRangeError(ArgumentError, IndexError):
    """An index or a token id is outside what there is."""


class ClosedError(GgmlkitError, ValueError):
    """The file or model has been closed."""


class MissingTensorError(GgmlkitError, KeyError):
    """A model file has no tensor of the name; the message has names like it.

    Attributes:
        name: that was asked for.
    """

    def __init__(self, path: str | os.PathLike[str], name: object, names: Iterable[str]) -> None:
        super().__init__(path, name, names)
        self.name = name
        self._path = os.fspath(path)
        self._names = names

    def __str__(self) -> str:  # KeyError's shows quotes; and names are compared only when shown
        from difflib import get_close_matches

        if not isinstance(self.name, str):
            return f"{self._path}: tensors are asked for by name, not by {self.name!r}"
        near = [repr(name) for name in get_close_matches(self.name, list(self._names), 3)]
        hint = f"did you mean {' or '.join(near)}?" if near else "list(file) has their names"
        return f"{self._path} has no tensor {self.name!r}; {hint}"
