"""What every reader offers, whatever the container."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ggmlkit.arguments import counted, text
from ggmlkit.closing import Closing
from ggmlkit.errors import ClosedError, MissingTensorError
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    pass  # in typing from Python 3.11 on

ByteOrder = Literal["little", "big"]


class ModelFile(Closing, Mapping[str, Tensor]):
    """An open model file: metadata and lazy tensors; a mapping from names to tensors.

    Attributes:
        path: the file.
        container: ``"gguf"``, ``"ggjt"``, ``"ggmf"``, ``"ggml"``, ``"ggla"``, ``"imatrix"``,
            ``"safetensors"``, ``"torch"``, ``"flax"``, ``"onnx"``, ``"tensorflow"`` or ``"hdf5"``.
        version: of the container, ``None`` where it has none.
        byte_order: of the numbers in the file; tensors always come in this machine's order.
        metadata: by GGUF key, whatever the container. Text is ``str`` (``bytes`` if it is not
            UTF-8), arrays of numbers are numpy arrays, arrays of strings are lists.
        value_types: the GGUF value type number of each key, as in the file. A writer that is given
            these writes the same bytes again. The entry of an array is the type of its elements
            plus :data:`ARRAY_OF`.
    """

    path: Path
    container: str
    version: int | None
    byte_order: ByteOrder
    metadata: dict[str, Any]
    value_types: dict[str, int]
    _tensors: dict[str, Tensor]  # which the readers set
    _is_closed = False

    def __init__(
        self,
        path: Path,
        container: str,
        *,
        version: int | None = None,
        byte_order: ByteOrder = "little",
        metadata: dict[str, Any] | None = None,
        value_types: dict[str, int] | None = None,
    ) -> None:
        self.path = path
        self.container = container
        self.version = version
        self.byte_order = byte_order
        self.metadata = {} if metadata is None else metadata
        self.value_types = {} if value_types is None else value_types

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors by the file's own names, in file order. Their data is read on first use.

        Raises:
            ClosedError: the file is closed.
        """
        if self._is_closed:
            raise ClosedError(f"{self.path} is closed; open it again")
        return self._tensors

    def close(self) -> None:
        """Close the file. Its metadata stays; its tensors can't be taken or read any more."""
        self._is_closed = True

    def check(self) -> None:
        """Raise FormatError if the file has been cut short since it was opened.

        The mapped pages behind the new end read as zeros, so call this after reading data.
        """

    def stored_values(self) -> dict[str, bytes]:
        """Metadata values by key, as little-endian gguf v2 and v3 store them, type first.

        A gguf writer copies these for unchanged values. Empty unless the file itself is such a
        gguf.
        """
        return {}

    def ranges(self) -> list[tuple[int, int, str]]:
        """(start, size, name) of each tensor's data, if the container allows overlaps."""
        return []

    @property
    def paths(self) -> list[Path]:
        """All files of the model."""
        return [part.path for part in self.parts] or [self.path]

    @property
    def parts(self) -> Sequence[ModelFile]:
        """The files of a model in several gguf files, in order; empty for any other model."""
        return ()

    @property
    def notes(self) -> dict[str, str]:
        """Notes that a file of tensors stores about itself; they are not metadata of a model."""
        return {}

    @property
    def names(self) -> list[str]:
        """The file's own tensor names, in file order."""
        return list(self.tensors)

    def find(self, pattern: str) -> list[str]:
        """Names that match a shell pattern such as ``"blk.*.attn_q.weight"``, in file order.

        ``*`` stands for any characters, ``?`` for one, ``[0-3]`` for one of these; case matters.
        """
        from fnmatch import translate  # deferred: rarely used

        fits = re.compile(translate(text(pattern, "pattern"))).match
        return [name for name in self.tensors if fits(name)]

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of this name, lazy.

        Raises:
            MissingTensorError: there is none; a KeyError that names similar ones.
            ClosedError: the file is closed.
        """
        tensors = self.tensors
        tensor = tensors.get(name) if isinstance(name, str) else None
        if tensor is None:
            raise MissingTensorError(self.path, name, tensors)
        return tensor

    def _ipython_key_completions_(self) -> list[str]:
        return self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors if isinstance(name, str) else False

    # Two open files are never equal, even if their content is: identity replaces Mapping's __eq__.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        version = "" if self.version is None else f" v{self.version}"
        state = "closed" if self._is_closed else counted(len(self), "tensor")
        return f"<{self.container}{version} {str(self.path)!r}, {state}>"


@dataclass(frozen=True)
class LostTensor:
    """A tensor that a damaged file lists but no longer contains.

    Attributes:
        name: ``None`` if the file ends before the name.
        offset: where the file describes the tensor; ``None`` if it doesn't.
        reason: what is wrong.
    """

    name: str | None
    offset: int | None
    reason: str


ARRAY_OF = 256
"""Added to a GGUF element type in ``value_types`` to mean "an array of these"."""
