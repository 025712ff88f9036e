"""Calibrated rounding: quantization with knowledge of what enters each matrix."""
