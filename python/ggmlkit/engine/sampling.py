"""Checks the sampling settings of ``generate`` and ``chat``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypedDict

from ggmlkit import _core
from ggmlkit.arguments import number, shown, whole
from ggmlkit.errors import ArgumentError, ArgumentTypeError

PENALTY_WINDOW = 64  # recent tokens that the penalties use, as in llama.cpp
_MOST_TOKENS = 2**31 - 1  # more than any vocabulary has


class GenerationSettings(TypedDict, total=False):
    """Settings of :meth:`ggmlkit.Llama.generate`, which :meth:`ggmlkit.Llama.chat` takes too."""

    max_tokens: int | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    frequency_penalty: float
    presence_penalty: float
    seed: int | None
    stop: str | Sequence[str]
    ignore_eos: bool


def sampler(
    *,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repeat_penalty: float,
    frequency_penalty: float,
    presence_penalty: float,
    seed: int | None,
) -> _core.Sampler:
    """A sampler with these settings.

    Raises:
        ArgumentError: one is out of range, or not a number.
    """
    own_seed = int.from_bytes(os.urandom(8), "little") if seed is None else whole(seed, "seed")
    try:
        return _core.Sampler(
            temperature=number(temperature, "temperature", least=0),
            top_k=min(whole(top_k, "top_k", least=0), _MOST_TOKENS),
            top_p=number(top_p, "top_p"),
            min_p=number(min_p, "min_p"),
            repeat_penalty=number(repeat_penalty, "repeat_penalty"),
            frequency_penalty=number(frequency_penalty, "frequency_penalty"),
            presence_penalty=number(presence_penalty, "presence_penalty"),
            penalty_window=PENALTY_WINDOW,
            seed=own_seed & (2**64 - 1),
        )
    except ArgumentError:
        raise
    except ValueError as error:  # the sampler checks some ranges
        raise ArgumentError(str(error)) from None


def stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    """The stop strings as a tuple.

    Raises:
        ArgumentError: one is empty, or not a ``str``.
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
