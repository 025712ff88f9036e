"""gguf, and what one file of it holds."""
