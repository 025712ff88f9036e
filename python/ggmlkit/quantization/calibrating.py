"""What rounds matrices by what enters them: the face that `quantize_file` sees of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from ggmlkit.io.base import ModelFile
from ggmlkit.io.writing.stream import Progress
from ggmlkit.storing import Importance
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType


@dataclass(frozen=True)
class Request:
    """A file to be written.

    Attributes:
        source: the model.
        metadata: of it, by gguf's keys.
        tensors: of it, by gguf's names.
        types: of the tensors in the new file.
        out: the new file; temporary files go to its folder.
        importance: of each column, by name, of those matrices that have one.
        threads: at most so many; all that the process may use when None.
        progress: called with (work done, in all, what is done next).
    """

    source: ModelFile
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    types: Mapping[str, TensorType]
    out: Path
    importance: Mapping[str, Importance] = field(default_factory=dict)
    threads: int | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Rounded:
    """What the new file gets.

    Attributes:
        tensors: those that are made already, by name, in their types.
        metadata: keys that say how they were made.
        notes: for the user, one sentence each.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chosen:
    """The types of a file's matrices under a budget.

    Attributes:
        types: of the matrices, by name.
        metadata: keys that say how they were chosen.
        notes: for the user, one sentence each.
    """

    types: Mapping[str, TensorType]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Calibrating(Protocol):
    """Rounds the matrices of a file.

    Attributes:
        takes_importance: whether it works by the importance of columns, which is given then.
    """

    takes_importance: ClassVar[bool]

    def rounding(self, request: Request) -> AbstractContextManager[Rounded]:
        """Do the work; the tensors can be read until the context ends."""


@runtime_checkable
class Choosing(Protocol):
    """Measures what types cost."""

    def choosing(self, request: Request, size: str | int, names: Sequence[str]) -> Chosen:
        """Choose the types of these matrices; those of the others are the request's."""
