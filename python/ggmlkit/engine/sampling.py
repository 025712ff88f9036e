"""How tokens are drawn: the settings of ``generate``, ``chat`` and the scheduler, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import copysign, inf
from typing import TypedDict

from ggmlkit import _core
from ggmlkit.arguments import number, shown, whole
from ggmlkit.errors import ArgumentError, ArgumentTypeError

REPEAT_LAST_N = 64  # tokens back that the penalties look at, as in llama.cpp
_MOST_TOKENS = 2**31 - 1  # more than any vocabulary has
_LEAST_FLOAT32, _MOST_FLOAT32 = 2.0**-126, 2.0**127 * (2 - 2.0**-23)  # above 0


class GenerationSettings(TypedDict, total=False):
    """The fields of :class:`SamplingParams`, as keywords."""

    max_tokens: int | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    repeat_last_n: int
    frequency_penalty: float
    presence_penalty: float
    seed: int | None
    stop: str | Sequence[str]
    ignore_eos: bool
    logit_bias: Mapping[int, float]
    logprobs: bool


@dataclass(frozen=True)
class SamplingParams:
    """What decides which tokens follow a prompt, and where they end.

    Attributes:
        max_tokens: to generate at most; None: as many as the context has room for.
        temperature: divides the logits; 0 always takes the likeliest token.
        top_k: draw among so many likeliest tokens; 0 for all.
        top_p: draw among the likeliest tokens that together have this probability.
        min_p: leave out tokens less likely than this share of the likeliest.
        repeat_penalty: divides the logits of recent tokens (multiplies negative ones).
        repeat_last_n: how many tokens are recent.
        frequency_penalty: subtracted for each time a recent token occurred.
        presence_penalty: subtracted once for a recent token.
        seed: the same seed gives the same text; None is another one each time.
        stop: end before the first of these strings.
        ignore_eos: go on where the model would end, never generating the ending token.
        logit_bias: added to the logits of tokens, by id; ``-inf``: never this token.
        logprobs: compute the log-probability of each token.

    Raises:
        ArgumentError: a setting is out of range or of a wrong type.
    """

    max_tokens: int | None = None
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last_n: int = REPEAT_LAST_N
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    stop: str | Sequence[str] = ()
    ignore_eos: bool = False
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens is not None:
            whole(self.max_tokens, "max_tokens", least=0)
        stop_strings(self.stop)
        self.new_sampler(())

    def new_sampler(self, ending: Collection[int]) -> _core.Sampler:
        """What draws the tokens of one sequence; ``ending`` are the model's ending tokens.

        Raises:
            ArgumentError: a setting is out of range, or not a number.
        """
        params = _core.SamplingParams()
        params.temperature = _float32(number(self.temperature, "temperature", least=0))
        params.top_k = min(whole(self.top_k, "top_k", least=0), _MOST_TOKENS)
        params.top_p = _within(self.top_p, "top_p", "above 0 and at most 1", lambda v: 0 < v <= 1)
        params.min_p = _within(self.min_p, "min_p", "between 0 and 1", lambda v: 0 <= v <= 1)
        params.repeat_penalty = _within(
            self.repeat_penalty, "repeat_penalty", "above 0", lambda v: v > 0
        )
        last_n = whole(self.repeat_last_n, "repeat_last_n", least=0)
        params.repeat_last_n = min(last_n, _MOST_TOKENS)
        params.frequency_penalty = _float32(number(self.frequency_penalty, "frequency_penalty"))
        params.presence_penalty = _float32(number(self.presence_penalty, "presence_penalty"))
        params.seed = self._seed()
        if not isinstance(self.logit_bias, Mapping):
            raise ArgumentTypeError(
                f"logit_bias must be a mapping of token ids, not {shown(self.logit_bias)}"
            )
        biases = [(_token(token), _bias(bias)) for token, bias in self.logit_bias.items()]
        never = [(id, -inf) for id in ending] if self.ignore_eos else []
        params.logit_bias = biases + never
        return _core.Sampler(params)

    def _seed(self) -> int:
        if self.seed is None:
            return int.from_bytes(os.urandom(8), "little")
        return whole(self.seed, "seed") & (2**64 - 1)


def chosen_params(params: SamplingParams | None, settings: GenerationSettings) -> SamplingParams:
    """``params``, or those of the settings given by keyword.

    Raises:
        ArgumentError: both are given, or a setting is out of range or of a wrong type.
    """
    if params is None:
        return SamplingParams(**settings)
    if settings:
        raise ArgumentError("give either params or settings by keyword, not both")
    return params


def _within(value: object, name: str, bounds: str, is_inside: Callable[[float], bool]) -> float:
    found = number(value, name)
    if not is_inside(found):
        raise ArgumentError(f"{name} must be {bounds}, not {found:g}")
    return _float32(found)


def _float32(value: float) -> float:
    """The value as near as float32, which the sampler computes with, has it; only 0 becomes 0."""
    if not value:
        return value
    return copysign(min(max(abs(value), _LEAST_FLOAT32), _MOST_FLOAT32), value)


def _token(token: object) -> int:
    return min(whole(token, "a token of logit_bias", least=0), _MOST_TOKENS)


def _bias(bias: object) -> float:
    return -inf if bias == -inf else _float32(number(bias, "logit_bias"))


def stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    """The strings to end before.

    Raises:
        ArgumentError: one is empty, or not text.
    """
    if isinstance(stop, str):
        stops: tuple[object, ...] = (stop,)
    elif isinstance(stop, (list, tuple, set, frozenset)):
        stops = tuple(stop)
    else:
        raise ArgumentTypeError(f"stop must be a str or a list of them, not {shown(stop)}")
    texts = tuple(each for each in stops if isinstance(each, str))
    if len(texts) < len(stops):
        wrong = next(each for each in stops if not isinstance(each, str))
        raise ArgumentTypeError(f"a stop string must be a str, not {shown(wrong)}")
    if "" in texts:
        raise ArgumentError("a stop string must not be empty")
    return texts
