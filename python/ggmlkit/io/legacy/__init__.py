"""The containers before gguf: ggml, ggmf, ggjt; and ggla, their adapters."""
