"""What a whole generation gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ggmlkit.engine.completion import FinishReason, Token
from ggmlkit.engine.stats import Stats


@dataclass(frozen=True)
class Usage:
    """Tokens of one generation.

    Attributes:
        prompt_tokens: all of the prompt.
        cached_tokens: of the prompt, that the cache held already.
        completion_tokens: generated; an ending token counts.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class GenerationResult:
    """A whole generation.

    Attributes:
        text: of all tokens.
        tokens: as :meth:`ggmlkit.Llama.generate_tokens` gives them; an ending token is the last.
        finish_reason: "stop" at the model's end or a stop string, "length" where no more tokens
            were asked for, or the context is full.
        usage: the tokens, counted.
        stats: the seconds of prompt and decode. Results are compared without these.
    """

    text: str
    tokens: tuple[Token, ...]
    finish_reason: FinishReason
    usage: Usage
    stats: Stats = field(compare=False)


def usage_of(stats: Stats, completion_tokens: int) -> Usage:
    """The tokens of a generation, by its work so far."""
    prompt = stats.cached_tokens + stats.prompt_tokens
    return Usage(prompt, stats.cached_tokens, completion_tokens)


def result_of(tokens: Iterable[Token], stats: Stats) -> GenerationResult:
    """The result of a generation: its tokens, drawn to the end, and its work then."""
    given = tuple(tokens)
    # No token: none was asked for.
    reason = (given[-1].finish_reason if given else None) or "length"
    return GenerationResult(
        text="".join(token.text for token in given),
        tokens=given,
        finish_reason=reason,
        usage=usage_of(stats, len(given)),
        stats=replace(stats),
    )
