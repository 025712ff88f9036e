"""Tensors whose values are computed when they are read."""
