"""Quantizing whole model files: which type each tensor gets, and the streaming rewrite.

Importing the package loads nothing else, so that `ggmlkit` can import it first and then give the
name `ggmlkit.quantization` to its function for arrays.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggmlkit.quantization.file import quantize_file
    from ggmlkit.quantization.recipe import FILE_TYPES, plan

__all__ = ["FILE_TYPES", "plan", "quantize_file"]

_MODULES = {"FILE_TYPES": "recipe", "plan": "recipe", "quantize_file": "file"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
