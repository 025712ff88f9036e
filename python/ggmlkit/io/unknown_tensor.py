"""Tensors of a type that this version doesn't know: all is known except their values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NoReturn

from ggmlkit.errors import UnsupportedTypeError
from ggmlkit.io.base import ByteOrder
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType


def unknown_type(ggml_id: int) -> TensorType:
    """A type of which only the number is known, not the size of its elements."""
    return TensorType(
        name=f"type {ggml_id}",
        ggml_id=ggml_id,
        block_size=1,
        block_bytes=0,
        generation="gguf",
        index=-1,
        can_dequantize=False,
        can_quantize=False,
        takes_importance=False,
        has_product=False,
    )


class UnknownTensor(Tensor):
    """A tensor whose values can't be read: each attempt raises UnsupportedTypeError.

    Args:
        path: the file.
        ggml_id: its type's number.
        shape: as in any tensor, like ``name``.
        place: byte offset of its header in the file.

    Attributes:
        kept: its bytes as in the file, up to the start of the next tensor; ``None`` if that is not
            certain.
    """

    __slots__ = ("kept", "path", "place")

    def __init__(
        self,
        path: str | os.PathLike[str],
        ggml_id: int,
        shape: tuple[int, ...],
        name: str,
        place: int,
    ) -> None:
        super().__init__(unknown_type(ggml_id), shape, self._refuse, name)
        self.path = os.fspath(path)
        self.place = place
        self.kept: KeptBytes | None = None

    def refusal(self, wanted: str = "its values can't be read") -> UnsupportedTypeError:
        """The error to raise; ``wanted`` says what can't be done."""
        return UnsupportedTypeError(
            f"{self.path}: at byte {self.place}: tensor {self.name!r} has type number "
            f"{self.type.ggml_id}, which this version of ggmlkit doesn't know, so {wanted}; "
            "a later version may know it"
        )

    def _refuse(self) -> NoReturn:
        raise self.refusal()

    def _check_known(self) -> None:
        self._refuse()


class KeptBytes(Tensor):
    """The bytes of a tensor of an unknown type, to be copied into another file as they are.

    Args:
        unknown: the tensor.
        data: its bytes.
        byte_order: of the file that has them.
    """

    __slots__ = ("_unknown", "byte_order")

    def __init__(self, unknown: UnknownTensor, data: Tensor, byte_order: ByteOrder) -> None:
        self._unknown = unknown
        self.byte_order = byte_order
        super().__init__(unknown.type, unknown.shape, lambda: data.data, unknown.name, [data])

    @property
    def nbytes(self) -> int:
        """Bytes up to the next tensor, padding included."""
        return self.sources[0].nbytes

    def in_order(self, byte_order: ByteOrder) -> KeptBytes:
        """The tensor itself; UnsupportedTypeError if the file has another byte order."""
        if byte_order != self.byte_order:
            raise self._unknown.refusal("it can't be converted to the other byte order")
        return self


def with_kept_bytes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors; those of unknown types are replaced by their bytes to copy.

    Raises:
        UnsupportedTypeError: the size of such a tensor is not certain.
    """
    return {name: _kept(tensor) for name, tensor in tensors.items()}


def _kept(tensor: Tensor) -> Tensor:
    if not isinstance(tensor, UnknownTensor):
        return tensor
    if tensor.kept is None:
        raise tensor.refusal("the number of bytes to copy is not known")
    return tensor.kept


def refuse_unknown(tensors: Iterable[Tensor]) -> None:
    """Raise UnsupportedTypeError for the first tensor of an unknown type, if there is one."""
    for tensor in tensors:
        if isinstance(tensor, UnknownTensor):
            raise tensor.refusal()
