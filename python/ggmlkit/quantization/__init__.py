"""Quantizing whole model files: which type each tensor gets, and the streaming rewrite."""

from __future__ import annotations

from ggmlkit.quantization.file import quantize_file
from ggmlkit.quantization.recipe import NAMES, plan

__all__ = ["NAMES", "plan", "quantize_file"]
