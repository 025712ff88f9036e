"""The Messages API of Anthropic: its shapes, and its endpoints."""
