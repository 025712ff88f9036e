"""Checks of the settings of :class:`ggmlkit.SamplingParams`, one by one.

Each returns the value to use, or raises an ArgumentError that names the setting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import copysign, inf

from ggmlkit import _core
from ggmlkit.arguments import number, shown, whole
from ggmlkit.engine.sampler_names import SAMPLERS
from ggmlkit.errors import ArgumentError, ArgumentTypeError

_MOST_TOKENS = 2**31 - 1  # more than any vocabulary has
_LEAST_FLOAT32, _MOST_FLOAT32 = 2.0**-126, 2.0**127 * (2 - 2.0**-23)  # above 0


def strings(value: str | Sequence[str], name: str) -> tuple[str, ...]:
    """The strings of a setting that takes one or several.

    Raises:
        ArgumentError: one is empty, or not text.
    """
    if isinstance(value, str):
        found: tuple[object, ...] = (value,)
    elif isinstance(value, (list, tuple, set, frozenset)):
        found = tuple(value)
    else:
        raise ArgumentTypeError(f"{name} must be a str or a list of them, not {shown(value)}")
    texts = tuple(each for each in found if isinstance(each, str))
    if len(texts) < len(found):
        wrong = next(each for each in found if not isinstance(each, str))
        raise ArgumentTypeError(f"a string of {name} must be a str, not {shown(wrong)}")
    if "" in texts:
        raise ArgumentError(f"a string of {name} must not be empty")
    return texts


def _from_0(value: object, name: str) -> float:
    return _float32(number(value, name, least=0))


def _any(value: object, name: str) -> float:
    return _float32(number(value, name))


def _float32(value: float) -> float:
    """The value as near as float32, which the sampler computes with, has it; only 0 becomes 0."""
    if not value:
        return value
    return copysign(min(max(abs(value), _LEAST_FLOAT32), _MOST_FLOAT32), value)


def _within(bounds: str, is_inside: Callable[[float], bool]) -> Callable[[object, str], float]:
    def check(value: object, name: str) -> float:
        found = number(value, name)
        if not is_inside(found):
            raise ArgumentError(f"{name} must be {bounds}, not {found:g}")
        return _float32(found)

    return check


_above_0 = _within("above 0", lambda v: v > 0)
_share = _within("between 0 and 1", lambda v: 0 <= v <= 1)
_share_above_0 = _within("above 0 and at most 1", lambda v: 0 < v <= 1)


def _count(value: object, name: str) -> int:
    return min(whole(value, name, least=0), _MOST_TOKENS)


def last_n(value: object, name: str) -> int:
    """How many tokens back; -1 is all."""
    found = whole(value, name, least=-1)
    return _MOST_TOKENS if found < 0 else min(found, _MOST_TOKENS)


def _mirostat(value: object, name: str) -> int:
    found = whole(value, name)
    if found not in (0, 1, 2):
        raise ArgumentError(f"{name} must be 0, 1 or 2, not {found}")
    return found


# The value to use of each setting, or an error.
CHECKS: dict[str, Callable[[object, str], float]] = {
    "temperature": _from_0,
    "dynatemp_range": _from_0,
    "dynatemp_exponent": _from_0,
    "top_k": _count,
    "top_p": _share_above_0,
    "min_p": _share,
    "typical_p": _share_above_0,
    "top_n_sigma": _from_0,
    "xtc_probability": _share,
    "xtc_threshold": _share_above_0,
    "min_keep": _count,
    "mirostat": _mirostat,
    "mirostat_tau": _above_0,
    "mirostat_eta": _above_0,
    "repeat_penalty": _above_0,
    "repeat_last_n": last_n,
    "frequency_penalty": _any,
    "presence_penalty": _any,
    "dry_multiplier": _from_0,
    "dry_base": _within("at least 1", lambda v: v >= 1),
    "dry_allowed_length": _count,
    "dry_penalty_last_n": last_n,
}


def steps(names: Sequence[str]) -> list[_core.SamplingStep]:
    """The steps of these names, each of :data:`SAMPLERS`, once."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ArgumentTypeError(f"samplers must be a list of names, not {shown(names)}")
    found: list[_core.SamplingStep] = []
    for name in names:
        if name not in SAMPLERS:
            raise ArgumentError(
                f"there is no sampler {shown(name)}; there are {', '.join(SAMPLERS)}"
            )
        found.append(_core.SamplingStep.__members__[name])
    if len(set(names)) < len(found):
        raise ArgumentError("a sampler is named twice")
    return found


def token_id(token: object, name: str) -> int:
    """The id of a token of a setting; one beyond any vocabulary is no error."""
    return min(whole(token, f"a token of {name}", least=0), _MOST_TOKENS)


def token_ids(tokens: Collection[int], name: str) -> list[int]:
    """The ids of a setting that lists tokens."""
    if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
        raise ArgumentTypeError(f"{name} must be a list of token ids, not {shown(tokens)}")
    return [token_id(token, name) for token in tokens]


def bias(value: object) -> float:
    """A bias of a logit: a finite number, or ``-inf``."""
    return -inf if value == -inf else _any(value, "logit_bias")
