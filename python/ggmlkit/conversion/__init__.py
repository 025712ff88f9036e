"""Checkpoints and model files turned into one another."""

from __future__ import annotations

from ggmlkit.conversion.export import export
from ggmlkit.conversion.hparams import ConversionWarning
from ggmlkit.conversion.pipeline import convert
from ggmlkit.conversion.view import as_gguf

__all__ = ["ConversionWarning", "as_gguf", "convert", "export"]
