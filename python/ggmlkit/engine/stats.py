"""The work of one generation, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Stats:
    """Work of one generation: the prompt prefilled, then tokens decoded.

    Attributes:
        prompt_tokens: that were computed.
        cached_tokens: of the prompt, that the cache held already.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    prompt_seconds: float = 0.0
    decode_tokens: int = 0
    decode_seconds: float = 0.0

    @property
    def prompt_tps(self) -> float:
        """Prompt tokens a second; 0 before any."""
        return self.prompt_tokens / self.prompt_seconds if self.prompt_seconds else 0.0

    @property
    def decode_tps(self) -> float:
        """Decoded tokens a second; 0 before any."""
        return self.decode_tokens / self.decode_seconds if self.decode_seconds else 0.0
