"""Reads, writes, splits and edits gguf files."""
