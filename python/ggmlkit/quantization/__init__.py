"""Quantizing whole model files: which type each tensor gets, and the streaming rewrite."""

from __future__ import annotations

from ggmlkit.quantization.file import quantize_file
from ggmlkit.quantization.recipe import FILE_TYPES, plan

__all__ = ["FILE_TYPES", "plan", "quantize_file"]
