"""The protocols through which numpy, torch, notebooks and the Python prompt use a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ggmlkit import _core, dtypes
from ggmlkit.arguments import tensor_called
from ggmlkit.arrays import as_numpy
from ggmlkit.errors import ArgumentError, GgmlkitError
from ggmlkit.products import Transposed
from ggmlkit.tensor_text import SHOWN, one_line, table

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from ggmlkit.types import TensorType

    Bytes = NDArray[np.uint8]
    Data = Bytes | Callable[[], Bytes]


class Origin(Protocol):
    """Where a tensor can be loaded from again; it is pickled as this."""

    @property
    def path(self) -> str: ...
    def taking(self, index: int | slice) -> Origin:
        """The origin of some of the tensor's rows."""

    def load(self) -> Any:
        """The tensor."""


class ArrayProtocols:
    """The base of :class:`ggmlkit.Tensor`: conversion to other libraries' arrays, and display."""

    __slots__ = ()

    if TYPE_CHECKING:
        type: TensorType
        shape: tuple[int, ...]
        name: str
        origin: Origin | None
        _data: Data

        @property
        def data(self) -> Bytes: ...
        @property
        def size(self) -> int: ...
        @property
        def nbytes(self) -> int: ...
        @property
        def dtype(self) -> np.dtype[Any]: ...
        def numpy(self) -> NDArray[Any]: ...
        def dequantize(self, dtype: Any = ...) -> NDArray[Any]: ...
        def _part(self, start: int, nbytes: int) -> Data: ...
        def _check_known(self) -> None: ...

    @property
    def _is_plain(self) -> bool:
        return dtypes.is_plain(self.type.name)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The values in ``self.dtype`` or another dtype; a view if possible.

        Raises:
            ArgumentError: ``copy`` is False, but the type or the dtype needs a copy.
        """
        kind = self.type.name
        wanted = self.dtype if dtype is None else dtypes.checked_dtype(dtype, kind)
        is_view = self._is_plain and dtypes.stores(self.type.name, wanted)
        if copy is False and not is_view:
            raise ArgumentError(
                f"{tensor_called(self.name)} of type {self.type} can't be an array of {wanted} "
                "without a copy"
            )
        if is_view and not copy:
            return self.numpy()
        return self.dequantize(wanted)

    def __dlpack__(
        self,
        *,
        stream: None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """For ``torch.from_dlpack`` and others: plain numbers; a mapped file's are copied.

        Raises:
            UnsupportedTypeError: the type is quantized.
            BufferError: another device is requested, or a copy is needed but not allowed.
        """
        from ggmlkit import dlpack  # deferred: it loads ctypes

        self._check_known()
        if dl_device is not None and tuple(dl_device) != dlpack.CPU:
            raise BufferError("the tensor is in the processor's memory, not on another device")
        is_bfloat16 = self.type.name == "bf16"
        values = self.data.view(np.uint16).reshape(self.shape) if is_bfloat16 else self.numpy()
        return dlpack.exported(values, max_version=max_version, copy=copy, is_bfloat16=is_bfloat16)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # the processor's memory

    def __matmul__(self, x: Any) -> Any:
        """``tensor @ x`` with the tensor's values, as numpy computes it."""
        if isinstance(x, Transposed):
            return NotImplemented  # it has a product of its own
        return _product(self, x, lambda values, other: values @ other)

    def __rmatmul__(self, x: Any) -> Any:
        """``x @ tensor`` with the tensor's values; ``x @ tensor.T`` is the quantized product."""
        return _product(self, x, lambda values, other: other @ values)

    @classmethod
    def __torch_function__(
        cls,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        from ggmlkit.torch_products import product_with_values  # deferred, as it is rarely needed

        return product_with_values(function, args, kwargs or {}, cls)

    def __buffer__(self, _flags: int, /) -> memoryview:
        """For ``memoryview(tensor)``, from Python 3.12 on: plain numbers, without a copy.

        Raises:
            BufferError: buffers don't support the type: it is quantized, or bf16.
        """
        self._check_known()
        if not self._is_plain or self.type.name == "bf16":
            what = tensor_called(self.name)
            raise BufferError(f"{what} is {self.type}, which buffers don't support")
        return memoryview(self.numpy())  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return one_line(self.name, self.type, self.shape, self._path, self._first_values())

    def _repr_html_(self) -> str:
        values = self._first_values()
        return table(self.name, self.type, self.shape, self.nbytes, self._path, values)

    @property
    def _path(self) -> str | None:
        return None if self.origin is None else self.origin.path

    def _first_values(self) -> list[float]:
        """A few values to show, from the first blocks; empty if the data is computed."""
        count = min(SHOWN, self.size)
        can_part = not callable(self._data) or hasattr(self._data, "part")
        if not count or not can_part or not self.type.can_dequantize:
            return []
        block = self.type.block_size
        elements = -(-count // block) * block
        try:
            data = self._part(0, elements // block * self.type.block_bytes)
            values = np.empty(elements, np.float32)
            _core.dequantize(self.type.index, data() if callable(data) else data, values, 1)
        except (GgmlkitError, OSError):  # a file that is closed or deleted
            return []
        return [float(value) for value in values[:count]]


def _product(tensor: ArrayProtocols, x: Any, product: Callable[[Any, Any], Any]) -> Any:
    """The product of the tensor's values and ``x``; a torch tensor if x is one."""
    if hasattr(x, "detach"):
        from ggmlkit.torch_products import for_torch  # deferred, as it is rarely needed

        return product(*for_torch(tensor, x))
    return product(tensor.dequantize(), as_numpy(x, "x"))
