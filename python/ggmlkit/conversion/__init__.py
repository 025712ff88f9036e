"""Checkpoints and model files turned into one another."""
