"""A peer's libggml through ctypes: its reference quantizers and dequantizers."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# llama.cpp splits the library; ik_llama.cpp keeps it whole.
_LIBRARIES = ("libggml-base.so", "libggml.so")

# These types have no blocks, and their functions have other names.
_FLOATS = {"f16": "ggml_fp16_to_fp32_row", "bf16": "ggml_bf16_to_fp32_row"}


def find(folder: Path) -> Path:
    """The library in `folder` or beside it; raises FileNotFoundError."""
    for name in _LIBRARIES:
        for place in (".", "../lib", "../ggml/src", "../src"):
            path = folder / place / name
            if path.exists():
                return path.resolve()
    raise FileNotFoundError(f"no {' or '.join(_LIBRARIES)} in or beside {folder}")


class _InitParams(ctypes.Structure):
    """`ggml_init_params` of ggml.h."""

    _fields_ = (
        ("mem_size", ctypes.c_size_t),
        ("mem_buffer", ctypes.c_void_p),
        ("no_alloc", ctypes.c_bool),
    )


class Libggml:
    """Single-threaded row functions of one shared library."""

    def __init__(self, path: Path) -> None:
        self._lib = ctypes.CDLL(str(path))
        self._fill_tables()
        self._quantize = self._lib.ggml_quantize_chunk
        self._quantize.restype = ctypes.c_size_t
        self._quantize.argtypes = [
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_void_p,
            ctypes.c_void_p,  # only ik_llama.cpp has it; in C, other callees ignore it
        ]
        self._needs_importances = self._lib.ggml_quantize_requires_imatrix
        self._needs_importances.restype = ctypes.c_bool
        self._needs_importances.argtypes = [ctypes.c_int]

    def _fill_tables(self) -> None:
        """Make the library fill its half-precision tables, which it does with its first context."""
        start, free = self._lib.ggml_init, self._lib.ggml_free
        start.argtypes, start.restype = [_InitParams], ctypes.c_void_p
        free.argtypes, free.restype = [ctypes.c_void_p], None
        free(start(_InitParams(1 << 16, None, True)))

    def reads(self, type: str) -> bool:
        """Whether it has a function to dequantize `type`."""
        return hasattr(self._lib, _reader(type))

    def quantize(
        self,
        type: str,
        x: NDArray[np.float32],
        out: NDArray[np.uint8],
        importance: NDArray[np.float32] | None = None,
    ) -> None:
        """`x` float32 ``(rows, columns)`` into `out`, bytes of the right size.

        `importance` is float32 ``(columns,)``. Without it all columns count the same, and types
        that need one get ones.
        """
        rows, columns = x.shape
        number = type_id(type)
        if importance is None and self._needs_importances(number):
            importance = np.ones(columns, np.float32)
        weights = None if importance is None else importance.ctypes.data
        written = self._quantize(
            number, x.ctypes.data, out.ctypes.data, 0, rows, columns, weights, None
        )
        assert written == out.nbytes

    def dequantize(self, type: str, data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """Bytes of blocks into `out`, C-contiguous."""
        self._dequantizer(type)(data.ctypes.data, out.ctypes.data, out.size)

    def _dequantizer(self, type: str) -> Any:
        function = getattr(self._lib, _reader(type))
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        return function


def type_id(type: str) -> int:
    """The number of a current type in files and in libggml."""
    from ggmlkit import types

    return types.get(type).ggml_id


def _reader(type: str) -> str:
    return _FLOATS.get(type, f"dequantize_row_{type}")
