"""Encoders from words to token ids, one module per kind of model."""
