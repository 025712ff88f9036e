"""The containers before gguf: ggml, ggmf and ggjt for models, ggla for adapters."""
