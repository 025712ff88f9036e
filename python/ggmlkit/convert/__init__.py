"""Checkpoints and model files turned into one another."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ggmlkit.convert.export import export
from ggmlkit.convert.hparams import ConversionWarning
from ggmlkit.convert.pipeline import convert
from ggmlkit.convert.view import as_gguf

__all__ = ["ConversionWarning", "as_gguf", "convert", "export"]


class _CallableModule(ModuleType):
    """``ggmlkit.convert`` is a function to those who use the library, and this package once
    anything imports from it: let both work."""

    def __call__(self, *args: Any, **options: Any) -> None:
        convert(*args, **options)


sys.modules[__name__].__class__ = _CallableModule
