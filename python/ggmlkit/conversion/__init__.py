"""Checkpoints and model files turned into one another."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ggmlkit.conversion.export import export
from ggmlkit.conversion.hparams import ConversionWarning
from ggmlkit.conversion.pipeline import convert
from ggmlkit.conversion.view import as_gguf

__all__ = ["ConversionWarning", "as_gguf", "convert", "export"]


class _CallableModule(ModuleType):
    """``ggmlkit.conversion`` is a function to those who use the library, and this package once
    anything imports from it: let both work."""

    def __call__(self, *args: Any, **options: Any) -> None:
        convert(*args, **options)


sys.modules[__name__].__class__ = _CallableModule
