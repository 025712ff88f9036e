"""Exports arrays to other libraries by DLPack, also as bfloat16, which numpy can't export."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BFLOAT = 4  # DLPack's code for bfloat16
CPU = (1, 0)
"""DLPack's device type and number for the processor's memory."""


def exported(
    values: NDArray[Any],
    *,
    max_version: tuple[int, int] | None,
    copy: bool | None,
    is_bfloat16: bool = False,
) -> Any:
    """A DLPack capsule of the array, which the other library may write to.

    Read-only memory, such as a mapped file, is always copied. DLPack 1.0 has a flag for it, but
    torch asks for 1.0 and ignores the flag: a write to its tensor would end the process.

    Args:
        values: the array; for bfloat16, its bits as uint16.
        max_version: the latest version of DLPack that the other library knows.
        copy: True to copy always, None if needed, False never.
        is_bfloat16: whether the values are the bits of bfloat16.

    Raises:
        BufferError: the array is read-only, but ``copy`` is False.
    """
    if copy is False and not values.flags.writeable:
        raise BufferError(
            "the tensor's memory is read-only, so DLPack needs a copy: leave out copy=False"
        )
    if copy or not values.flags.writeable:
        values = values.copy()
    knows_versions = max_version is not None and max_version[0] >= 1
    version: dict[str, Any] = {"max_version": max_version} if knows_versions else {}
    try:
        capsule = values.__dlpack__(**version)
    except TypeError:  # an old numpy, without versions
        capsule = values.__dlpack__()
    if is_bfloat16:
        _set_bfloat16(capsule)
    return capsule


def _set_bfloat16(capsule: Any) -> None:
    """Change the dtype of a new capsule from uint16 to bfloat16."""
    name, managed = next(
        (name, kind) for name, kind in _MANAGED.items() if _is_valid(capsule, name)
    )
    pointer = _pointer(capsule, name)
    ctypes.cast(pointer, ctypes.POINTER(managed)).contents.tensor.code = _BFLOAT


class _Tensor(ctypes.Structure):
    """DLTensor, up to its dtype."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
    )


class _Managed(ctypes.Structure):
    """DLManagedTensor, up to the tensor's dtype."""

    _fields_ = (("tensor", _Tensor),)


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned, up to the tensor's dtype."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_MANAGED: dict[bytes, Any] = {b"dltensor_versioned": _Versioned, b"dltensor": _Managed}
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
