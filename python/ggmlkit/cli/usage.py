"""Faults of a command line, and names that were perhaps meant."""

from __future__ import annotations

from ggmlkit.arguments import did_you_mean

__all__ = ["UsageError", "did_you_mean"]


class UsageError(Exception):
    """What is wrong with the words of a command line, in one sentence without its full stop."""
