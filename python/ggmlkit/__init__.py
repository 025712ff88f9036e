"""ggmlkit: read, write, quantize and run GGML and GGUF model files.

Importing this loads numpy and the compiled core alone; everything else loads when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ggmlkit import errors, types
from ggmlkit._version import __version__
from ggmlkit.errors import (
    ConversionError,
    FormatError,
    GgmlkitError,
    ModelError,
    UnsupportedTypeError,
)
from ggmlkit.tensor import Tensor, dequantize, matmul, quantize
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from ggmlkit.conversion.export import export
    from ggmlkit.conversion.pipeline import convert
    from ggmlkit.io import open, save
    from ggmlkit.model.llama import Llama
    from ggmlkit.model.tokenizer import Tokenizer
    from ggmlkit.quantization import quantize_file

_LAZY = {
    "open": "ggmlkit.io",
    "save": "ggmlkit.io",
    "convert": "ggmlkit.conversion",
    "export": "ggmlkit.conversion",
    "quantize_file": "ggmlkit.quantization",
    "Llama": "ggmlkit.model.llama",
    "Tokenizer": "ggmlkit.model.tokenizer",
}

__all__ = [
    "ConversionError",
    "FormatError",
    "GgmlkitError",
    "Llama",
    "ModelError",
    "Tensor",
    "TensorType",
    "Tokenizer",
    "UnsupportedTypeError",
    "__version__",
    "convert",
    "dequantize",
    "errors",
    "export",
    "matmul",
    "open",
    "quantize",
    "quantize_file",
    "save",
    "types",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'ggmlkit' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
