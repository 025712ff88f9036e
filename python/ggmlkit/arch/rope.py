"""How queries and keys are rotated, and how that changes for contexts beyond the trained one."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isclose, log, pi, sqrt

import numpy as np
import numpy.typing as npt

from ggmlkit.arch.read_fields import shortest
from ggmlkit.errors import HparamsError

DEFAULT_BASE = 10000.0


@dataclass(frozen=True)
class LinearScaling:
    """All frequencies divided by ``factor``."""

    factor: float


@dataclass(frozen=True)
class YarnScaling:
    """Peng et al., "YaRN", 2023: low frequencies are divided by ``factor``, high ones are kept.

    Attributes:
        factor: how much longer than the original context it stretches.
        original_context: tokens trained for before the stretching.
        beta_fast, beta_slow: full turns within the original context above which a frequency is
            kept, and below which it is divided in full.
    """

    factor: float
    original_context: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise HparamsError(f"yarn scaling by {self.factor:g}, below 1, is not supported")

    @property
    def magnitude(self) -> float:
        """What cosine and sine are multiplied by, beside :attr:`Rope.attention_factor`."""
        return 1.0 + 0.1 * log(self.factor)


@dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's change of the rotation frequencies.

    ``stored`` are the factors as a file has them, which differ in the last bits from those
    computed here; empty where no file was read.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int
    stored: tuple[float, ...] = field(default=(), compare=False, repr=False)

    def freq_factors(self, base: float, dims: int) -> npt.NDArray[np.float32]:
        """What each frequency is divided by: float32 ``(dims / 2,)``, for rope_freqs.weight.

        Wavelengths short against the trained context stay, long ones are stretched by
        ``factor``, those between are blended.
        """
        if self.stored:
            return np.array(self.stored, np.float32)
        exponent = np.arange(0, dims, 2, dtype=np.float64) / dims
        turns = self.original_context / (2 * pi * base**exponent)  # in the trained context
        blend = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        blend = np.clip(blend, 0.0, 1.0)
        return (1.0 / ((1.0 - blend) / self.factor + blend)).astype(np.float32)


@dataclass(frozen=True)
class FreqFactors:
    """What each frequency is divided by, where no formula that is known here gives it."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class LongRope:
    """Factors of the frequencies for contexts up to the original one, and for longer ones.

    Ding et al., "LongRoPE", 2024, as Phi-3 has it.
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    original_context: int


@dataclass(frozen=True)
class Rope:
    """The rotation of the heads of some layers.

    Attributes:
        dims: rotated elements of a head, the first ones.
        base: of the frequencies: pair i turns by ``base ** (-2 i / dims)`` a position.
        scaling: what changes the frequencies by a formula.
        factors: what else divides them, one number a frequency.
        attention_factor: multiplies cosine and sine, beside what yarn multiplies them by.
    """

    dims: int
    base: float = DEFAULT_BASE
    scaling: LinearScaling | YarnScaling | None = None
    factors: Llama3Scaling | FreqFactors | LongRope | None = None
    attention_factor: float = 1.0

    def freq_factors(self) -> tuple[float, ...]:
        """What each frequency is divided by, up to the original context; empty for nothing."""
        if isinstance(self.factors, Llama3Scaling):
            return tuple(self.factors.freq_factors(self.base, self.dims).tolist())
        if isinstance(self.factors, LongRope):
            return self.factors.short
        return () if self.factors is None else self.factors.values

    def long_freq_factors(self) -> tuple[float, ...]:
        """The same beyond the original context; empty where it is the same."""
        return self.factors.long if isinstance(self.factors, LongRope) else ()

    @property
    def is_plain(self) -> bool:
        """Whether only the base and the number of elements say how it rotates."""
        return self == Rope(self.dims, self.base)


def checked_rope(rope: Rope, head_dim: int) -> None:
    """Raise HparamsError where a rotation doesn't fit itself or the heads."""
    if rope.dims % 2 or not 0 < rope.dims <= head_dim:
        raise HparamsError(
            f"{rope.dims} rotated elements of a head of {head_dim} are not even, or too many"
        )
    for factors in (rope.freq_factors(), rope.long_freq_factors()):
        if len(factors) not in (0, rope.dims // 2):
            raise HparamsError(
                f"there are {len(factors)} RoPE factors, but they must be half as many as the "
                f"{rope.dims} rotated elements"
            )


def llama3_of(
    factors: npt.NDArray[np.float32], base: float, dims: int, original: int | None
) -> Llama3Scaling | None:
    """The scaling that gives these factors, or None."""
    factor = _without_noise(float(factors.max()))
    for context in [8192] + ([original] if original else []):
        guess = Llama3Scaling(factor, 1.0, 4.0, context)
        expected = guess.freq_factors(base, dims)
        if expected.shape == factors.shape and np.allclose(expected, factors, rtol=1e-5, atol=0):
            return Llama3Scaling(factor, 1.0, 4.0, context, tuple(factors.tolist()))
    return None


def _without_noise(value: float) -> float:
    """The number of few digits that another program rounded to this one, or itself."""
    short = float(f"{value:.6g}")
    return short if isclose(short, value, rel_tol=5e-7) else shortest(value)


def long_attention_factor(factor: float, original_context: int) -> float:
    """What multiplies cosine and sine where contexts may be ``factor`` times the trained one."""
    if factor <= 1.0:
        return 1.0
    return shortest(sqrt(1 + log(factor) / log(original_context)))
