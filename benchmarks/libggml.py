"""A peer's libggml through ctypes: its reference quantizers and dequantizers."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# From ggml.h's `enum ggml_type`; these numbers are part of the file format.
TYPE_IDS = {"q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}

_LIBRARY = "libggml-base.so"


def find(folder: Path) -> Path:
    """The library in `folder` or beside it; raises FileNotFoundError."""
    for place in (folder, folder / "../lib", folder / "../ggml/src", folder / "../src"):
        if (place / _LIBRARY).exists():
            return (place / _LIBRARY).resolve()
    raise FileNotFoundError(f"no {_LIBRARY} in or beside {folder}")


class Libggml:
    """Single-threaded row functions of one shared library."""

    def __init__(self, path: Path) -> None:
        self._lib = ctypes.CDLL(str(path))
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
        ]

    def quantize(self, type: str, x: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
        """`x` float32 ``(rows, columns)`` into `out`, bytes of the right size."""
        rows, columns = x.shape
        written = self._quantize(
            TYPE_IDS[type], x.ctypes.data, out.ctypes.data, 0, rows, columns, None
        )
        assert written == out.nbytes

    def dequantize(self, type: str, data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """Bytes of blocks into `out`, C-contiguous."""
        self._dequantizer(type)(data.ctypes.data, out.ctypes.data, out.size)

    def _dequantizer(self, type: str) -> Any:
        function = getattr(self._lib, f"dequantize_row_{type}")
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        return function
