"""The errors that ggmlkit raises. Every message is one sentence that states the fact."""

from __future__ import annotations

import os
from collections.abc import Iterable
from math import isfinite


class GgmlkitError(Exception):
    """Base class of all errors that the library raises about its input."""


class FormatError(GgmlkitError):
    """A file is damaged, truncated or not what it claims to be.

    Attributes:
        path: the file at fault.
        offset: byte offset of the fault; ``None`` if there is no single place.
        reason: what is wrong.
    """

    def __init__(self, path: str | os.PathLike[str], offset: int | None, reason: str) -> None:
        self.path = os.fspath(path)
        self.offset = offset
        self.reason = reason
        place = "" if offset is None else f"at byte {offset}: "
        super().__init__(f"{self.path}: {place}{reason}")


class UnsupportedTypeError(GgmlkitError):
    """The tensor type is not known, or this operation has no kernel for it."""


class ConversionError(GgmlkitError):
    """A checkpoint can't be converted as requested."""


class UnstorableError(ConversionError, ValueError):
    """A weight that a type can't hold: it is not finite, or too large.

    Attributes:
        tensor: the tensor's name; empty if it has none.
        index: of the weight, one number for each axis.
        value: the weight.
        type: the type that was requested.
        holders: types that can hold it and that this build can write.
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
    """An importance matrix does not fit its weights."""


class ModelError(GgmlkitError):
    """A file is valid, but not a model that this decoder or tokenizer can run."""


class HparamsError(ModelError, ConversionError):
    """A model's settings contradict each other, or are not supported.

    Both running and converting such a model are refused.
    """


class CacheFullError(ModelError):
    """The cache of keys and values has too few free pages for the tokens to append."""


class HubError(GgmlkitError):
    """Something on the Hugging Face hub doesn't exist or can't be downloaded."""


class ArgumentError(GgmlkitError, ValueError):
    """An argument has a value that can't be used; the message names it."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has a type that can't be used, such as bytes instead of a str."""


class OutOfRangeError(ArgumentError, IndexError):
    """An index or a token id is out of range."""


class ClosedError(GgmlkitError, ValueError):
    """The file or model has been closed."""


class MissingTensorError(GgmlkitError, KeyError):
    """A model file has no tensor of this name; the message suggests similar names.

    Attributes:
        name: the name that was requested.
    """

    def __init__(self, path: str | os.PathLike[str], name: object, names: Iterable[str]) -> None:
        super().__init__(path, name, names)
        self.name = name
        self._path = os.fspath(path)
        self._names = names

    def __str__(self) -> str:  # KeyError's adds quotes; names are compared only here
        from difflib import get_close_matches

        if not isinstance(self.name, str):
            return f"{self._path}: the name of a tensor must be a str, not {self.name!r}"
        near = [repr(name) for name in get_close_matches(self.name, list(self._names), 3)]
        hint = f"did you mean {' or '.join(near)}?" if near else "list(file) gives all names"
        return f"{self._path} has no tensor {self.name!r}; {hint}"
