"""LLaMA-family models: weights, sequences, generation."""
