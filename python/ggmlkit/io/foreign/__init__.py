"""Readers and writers of other programs' tensor files, and their layouts of quantized layers."""
