"""Checkpoints and model files turned into one another."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggmlkit.conversion.hparams import ConversionWarning
    from ggmlkit.conversion.pipeline import convert
    from ggmlkit.conversion.view import as_gguf

__all__ = ["ConversionWarning", "as_gguf", "convert"]

# Loading a model needs the view alone, not what reads and writes checkpoints.
_LAZY = {
    "ConversionWarning": "ggmlkit.conversion.hparams",
    "as_gguf": "ggmlkit.conversion.view",
    "convert": "ggmlkit.conversion.pipeline",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'ggmlkit.conversion' has no attribute {name!r}")
    return getattr(import_module(module), name)
