"""The errors ggmlkit raises. Every message is one sentence that states the fact."""

from __future__ import annotations

import os


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


class ModelError(GgmlkitError):
    """A file is well formed but is no model that this decoder or tokenizer can run."""


class HubError(GgmlkitError):
    """The Hugging Face hub does not give what was asked for."""
