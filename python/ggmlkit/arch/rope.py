"""RoPE settings: how queries and keys are rotated, and how that is scaled for longer contexts."""

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
        factor: length of the extended context divided by the original one.
        original_context: context length in tokens before scaling.
        beta_fast, beta_slow: a frequency with more turns than ``beta_fast`` in the original context
            is kept; one with fewer than ``beta_slow`` is divided by ``factor``.
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
        """A factor of cosine and sine, in addition to :attr:`Rope.attention_factor`."""
        return 1.0 + 0.1 * log(self.factor)


@dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's scaling of the RoPE frequencies.

    ``stored`` are the factors of a file, which differ in the last bits from those computed here;
    empty if no file was read.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int
    stored: tuple[float, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.low_freq_factor >= self.high_freq_factor:
            raise HparamsError(
                f"llama3 scaling with low_freq_factor {self.low_freq_factor:g}, which is not below "
                f"high_freq_factor {self.high_freq_factor:g}, is not supported"
            )

    def freq_factors(self, base: float, dims: int) -> npt.NDArray[np.float32]:
        """The divisor of each frequency: float32 ``(dims / 2,)``, for rope_freqs.weight.

        Wavelengths that are short compared to the trained context stay, long ones are multiplied
        by ``factor``, and those between are interpolated.
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
    """The divisor of each frequency, if no known formula gives it."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class LongRope:
    """Divisors of the frequencies for contexts up to the original one, and for longer ones.

    Ding et al., "LongRoPE", 2024, as in Phi-3.
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    original_context: int


@dataclass(frozen=True)
class Rope:
    """RoPE settings.

    Attributes:
        dims: number of rotated elements of a head; they are the first ones.
        base: of the frequencies: pair i rotates by ``base ** (-2 i / dims)`` per position.
        scaling: linear or YaRN scaling of the frequencies.
        factors: divisors of the frequencies, one for each.
        attention_factor: factor of cosine and sine, in addition to YaRN's.
    """

    dims: int
    base: float = DEFAULT_BASE
    scaling: LinearScaling | YarnScaling | None = None
    factors: Llama3Scaling | FreqFactors | LongRope | None = None
    attention_factor: float = 1.0

    def freq_factors(self) -> tuple[float, ...]:
        """The divisor of each frequency, up to the original context; empty for none."""
        if isinstance(self.factors, Llama3Scaling):
            return tuple(self.factors.freq_factors(self.base, self.dims).tolist())
        if isinstance(self.factors, LongRope):
            return self.factors.short
        return () if self.factors is None else self.factors.values

    def long_freq_factors(self) -> tuple[float, ...]:
        """The divisors beyond the original context; empty if they are the same."""
        return self.factors.long if isinstance(self.factors, LongRope) else ()

    @property
    def is_plain(self) -> bool:
        """Whether there is no scaling: only the base and the number of elements matter."""
        return self == Rope(self.dims, self.base)


def checked_rope(rope: Rope, head_dim: int) -> None:
    """Raise HparamsError if RoPE settings contradict each other or the head size."""
    if rope.dims % 2 or not 0 < rope.dims <= head_dim:
        raise HparamsError(
            f"{rope.dims} rotated elements do not fit heads of size {head_dim}: the number must be "
            "even and not above the head size"
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
    """The value without rounding errors of its last digits; otherwise unchanged."""
    short = float(f"{value:.6g}")
    return short if isclose(short, value, rel_tol=5e-7) else shortest(value)


def long_attention_factor(factor: float, original_context: int) -> float:
    """The factor of cosine and sine for contexts up to ``factor`` times the trained one."""
    if factor <= 1.0:
        return 1.0
    return shortest(sqrt(1 + log(factor) / log(original_context)))
