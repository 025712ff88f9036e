"""Tensors whose values are computed on demand."""
