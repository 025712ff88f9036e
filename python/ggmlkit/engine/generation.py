"""Generation: prefill the prompt, then decode token by token, up to a stop string."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ggmlkit.engine.sampling import PENALTY_WINDOW
from ggmlkit.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit import _core
    from ggmlkit.arch.hparams import Hparams
    from ggmlkit.text.tokenizer import Tokenizer


@dataclass
class Stats:
    """Token counts and times of the last ``generate`` or ``chat``: prefill and decode."""

    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    decode_tokens: int = 0
    decode_seconds: float = 0.0

    @property
    def prompt_tps(self) -> float:
        """Prompt tokens per second; 0 before any."""
        return self.prompt_tokens / self.prompt_seconds if self.prompt_seconds else 0.0

    @property
    def decode_tps(self) -> float:
        """Decoded tokens per second; 0 before any."""
        return self.decode_tokens / self.decode_seconds if self.decode_seconds else 0.0


class Decoder(Protocol):
    """The part of :class:`ggmlkit.Llama` that generation uses."""

    stats: Stats
    config: Hparams

    @property
    def context(self) -> int: ...
    @property
    def tokens(self) -> tuple[int, ...]: ...
    @property
    def tokenizer(self) -> Tokenizer: ...
    def eval(self, tokens: list[int], /) -> NDArray[np.float32]: ...
    def truncate(self, n: int) -> None: ...


def pieces(
    llama: Decoder,
    prompt: list[int],
    sampler: _core.Sampler,
    max_tokens: int | None,
    ignore_eos: bool,
) -> Iterator[str]:
    """The text that the model generates after ``prompt``, in pieces; updates ``llama.stats``."""
    llama.stats = stats = Stats()
    start = time.perf_counter()
    logits, read = _read(llama, prompt)
    stats.prompt_tokens = read
    stats.prompt_seconds = time.perf_counter() - start
    for token in prompt[-PENALTY_WINDOW:]:
        sampler.accept(token)
    ends = sorted(id for id in llama.tokenizer.eog_ids if 0 <= id < llama.config.vocab)
    text = llama.tokenizer.stream()
    # The last token needs no room, as no token after it is computed.
    room = llama.context - len(prompt) + 1
    limit = room if max_tokens is None else min(max_tokens, room)
    for written in range(limit):
        start = time.perf_counter()
        if written:
            logits = llama.eval([token])
        if ignore_eos:
            logits[ends] = -np.inf
        token = _sampled(sampler, logits)
        sampler.accept(token)
        stats.decode_tokens += 1
        stats.decode_seconds += time.perf_counter() - start
        if token in ends:
            break
        if piece := text.push(token):
            yield piece
    if rest := text.flush():
        yield rest


def _sampled(sampler: _core.Sampler, logits: NDArray[np.float32]) -> int:
    try:
        return int(sampler.sample(logits))
    except ValueError:
        raise ModelError(
            "all logits of the model are NaN; `ggmlkit verify` shows its weights that are not "
            "finite"
        ) from None


def _read(llama: Decoder, prompt: list[int]) -> tuple[NDArray[np.float32], int]:
    """Logits after ``prompt``, and the number of its tokens that were not in the context yet."""
    held = llama.tokens
    same = 0
    while same < min(len(prompt) - 1, len(held)) and prompt[same] == held[same]:
        same += 1
    llama.truncate(same)
    return llama.eval(prompt[same:]), len(prompt) - same


def until(stops: tuple[str, ...], pieces: Iterable[str]) -> Iterator[str]:
    """The pieces up to the first stop string; text that can be the start of one is held back."""
    if not stops:
        yield from pieces
        return
    held = ""
    for piece in pieces:
        held += piece
        found = [at for at in (held.find(stop) for stop in stops) if at >= 0]
        if found:
            if min(found):
                yield held[: min(found)]
            return
        keep = max(_overlap(held, stop) for stop in stops)
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that is a start of ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
