"""How long the work of an answer took, under llama-server's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggmlkit.engine.stats import Stats


def timings_of(stats: Stats) -> dict[str, float]:
    """Tokens, milliseconds and speeds of a prompt, and of the tokens after it."""
    prompt_ms, predicted_ms = stats.prompt_seconds * 1e3, stats.decode_seconds * 1e3
    return {
        "cache_n": stats.cached_tokens,
        "prompt_n": stats.prompt_tokens,
        "prompt_ms": round(prompt_ms, 3),
        "prompt_per_token_ms": round(prompt_ms / max(1, stats.prompt_tokens), 3),
        "prompt_per_second": round(stats.prompt_tps, 3),
        "predicted_n": stats.decode_tokens,
        "predicted_ms": round(predicted_ms, 3),
        "predicted_per_token_ms": round(predicted_ms / max(1, stats.decode_tokens), 3),
        "predicted_per_second": round(stats.decode_tps, 3),
    }
