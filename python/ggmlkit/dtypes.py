"""The numpy dtypes of tensor types whose elements are plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.arguments import shown, tensor_called
from ggmlkit.errors import ArgumentError, ArgumentTypeError, UnsupportedTypeError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "f64": np.dtype(np.float64),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
}
_TYPES = {dtype.name: type for type, dtype in _DTYPES.items()} | {"bfloat16": "bf16"}


def is_plain(type: str) -> bool:
    """Whether the type stores plain numbers, one by one."""
    return type in _DTYPES or type == "bf16"


def is_integer(type: str) -> bool:
    """Whether the type stores integers, one by one."""
    return type in _DTYPES and _DTYPES[type].kind == "i"


def dtype_of(type: str, name: str = "") -> np.dtype[Any]:
    """The numpy dtype of a type of plain numbers; bf16's is ``ml_dtypes.bfloat16``.

    Args:
        type: its name.
        name: of the tensor, for errors.

    Raises:
        UnsupportedTypeError: numpy has none, or only with ml_dtypes, which is not installed.
    """
    if is_plain(type):
        return _of_plain(type, tensor_called(name))
    raise UnsupportedTypeError(
        f"{tensor_called(name)} is {type}, which numpy has no dtype for; dequantize it"
    )


def _of_plain(type: str, what: str) -> np.dtype[Any]:
    return _bfloat16(what) if type == "bf16" else _DTYPES[type]


def _bfloat16(what: str) -> np.dtype[Any]:
    try:
        import ml_dtypes  # deferred: rarely needed
    except ImportError:
        raise UnsupportedTypeError(
            f"{what} is bf16, which numpy has only with ml_dtypes: install that, or get "
            "float32 with dequantize()"
        ) from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def type_of(dtype: np.dtype[Any], name: str = "") -> str:
    """The type whose elements are numbers of this dtype, in this machine's byte order.

    Raises:
        ArgumentTypeError: there is none.
    """
    found = _TYPES.get(dtype.name)
    if found is None:
        what = f"array {name!r}" if name else "the array"
        raise ArgumentTypeError(
            f"{what} has dtype {dtype}, which no tensor type stores; use one of {', '.join(_TYPES)}"
        )
    return found


def stores(type: str, dtype: np.dtype[Any]) -> bool:
    """Whether elements of the type are numbers of this dtype."""
    return _TYPES.get(dtype.name) == type


def checked_dtype(dtype: DTypeLike, type: str) -> np.dtype[Any]:
    """The dtype in which the values of a tensor of this type are returned, checked.

    The name of a type of plain numbers means that type: numpy would read "f16" as 16 bytes.

    Raises:
        ArgumentTypeError: it is not a dtype of real numbers, for example a quantized type's name;
            or it is one of integers, but the type is not.
        UnsupportedTypeError: it is "bf16", but ml_dtypes is not installed.
    """
    if isinstance(dtype, str) and is_plain(dtype.lower()):
        found: np.dtype[Any] | None = _of_plain(dtype.lower(), f"dtype {dtype!r}")
    else:
        found = _numpys(dtype)
    if found is None or (found.kind not in "fiu" and found.name not in _TYPES):
        raise ArgumentTypeError(
            f"dtype must be a numpy dtype of real numbers, such as np.float32, not {dtype!r}; "
            "astype takes the name of a tensor type"
        )
    if found.kind in "iu" and not is_integer(type):
        raise ArgumentTypeError(
            f"dtype {found} would cut the values of {type} to whole numbers: take np.float32, "
            "and round them yourself"
        )
    return found if found.isnative else found.newbyteorder("=")


def _numpys(dtype: DTypeLike) -> np.dtype[Any] | None:
    try:
        return np.dtype(dtype)
    except (TypeError, ValueError):
        return None


def dtype_of_out(out: object, shape: tuple[int, ...], dtype: DTypeLike, type: str) -> np.dtype[Any]:
    """The dtype of an array for the values of a tensor of ``shape`` and ``type``.

    Raises:
        ArgumentTypeError: ``out`` is not an array of real numbers.
        ArgumentError: it has another shape, another dtype than asked for, or can't be written.
    """
    if not isinstance(out, np.ndarray):
        raise ArgumentTypeError(f"out must be a numpy array, not {shown(out)}")
    if out.shape != shape:
        raise ArgumentError(f"out has shape {out.shape}, the tensor {shape}")
    if not out.flags.writeable:
        raise ArgumentError("out is read-only")
    # float32 is the default of dequantize, so it asks for nothing.
    if dtype is not np.float32 and (wanted := checked_dtype(dtype, type)) != out.dtype:
        raise ArgumentError(f"out has dtype {out.dtype}, but dtype is {wanted}: give one of them")
    return checked_dtype(out.dtype, type)
