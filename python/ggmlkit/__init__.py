"""ggmlkit: read, write, quantize and run GGML and GGUF model files.

Importing this loads nothing else: each name brings in its module, numpy and the compiled core
when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ggmlkit._version import __version__

if TYPE_CHECKING:
    from ggmlkit import errors, types
    from ggmlkit.arch.hparams import ConversionWarning
    from ggmlkit.conversion.convert import convert
    from ggmlkit.conversion.delta import apply_delta, make_delta
    from ggmlkit.conversion.export import export
    from ggmlkit.conversion.lora.merge import apply_lora
    from ggmlkit.engine.llama import Llama
    from ggmlkit.errors import (
        ConversionError,
        FormatError,
        GgmlkitError,
        HubError,
        ImportanceError,
        ModelError,
        UnstorableError,
        UnsupportedTypeError,
    )
    from ggmlkit.io import open, save
    from ggmlkit.products import PackedMatrix, matmul
    from ggmlkit.quantization import quantize_file
    from ggmlkit.tensor import Tensor, dequantize, quantize
    from ggmlkit.text.tokenizer import Tokenizer
    from ggmlkit.types import TensorType

_LAZY = {
    "ConversionError": "ggmlkit.errors",
    "ConversionWarning": "ggmlkit.arch.hparams",
    "FormatError": "ggmlkit.errors",
    "GgmlkitError": "ggmlkit.errors",
    "HubError": "ggmlkit.errors",
    "ImportanceError": "ggmlkit.errors",
    "Llama": "ggmlkit.engine.llama",
    "ModelError": "ggmlkit.errors",
    "PackedMatrix": "ggmlkit.products",
    "Tensor": "ggmlkit.tensor",
    "TensorType": "ggmlkit.types",
    "Tokenizer": "ggmlkit.text.tokenizer",
    "UnstorableError": "ggmlkit.errors",
    "UnsupportedTypeError": "ggmlkit.errors",
    "apply_delta": "ggmlkit.conversion.delta",
    "apply_lora": "ggmlkit.conversion.lora.merge",
    "convert": "ggmlkit.conversion.convert",
    "dequantize": "ggmlkit.tensor",
    "export": "ggmlkit.conversion.export",
    "make_delta": "ggmlkit.conversion.delta",
    "matmul": "ggmlkit.products",
    "open": "ggmlkit.io",
    "quantize": "ggmlkit.tensor",
    "quantize_file": "ggmlkit.quantization",
    "save": "ggmlkit.io",
}
_MODULES = ("errors", "types")

__all__ = [
    "ConversionError",
    "ConversionWarning",
    "FormatError",
    "GgmlkitError",
    "HubError",
    "ImportanceError",
    "Llama",
    "ModelError",
    "PackedMatrix",
    "Tensor",
    "TensorType",
    "Tokenizer",
    "UnstorableError",
    "UnsupportedTypeError",
    "__version__",
    "apply_delta",
    "apply_lora",
    "convert",
    "dequantize",
    "errors",
    "export",
    "make_delta",
    "matmul",
    "open",
    "quantize",
    "quantize_file",
    "save",
    "types",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"ggmlkit.{name}")
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'ggmlkit' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
