"""Changes of the rotation frequencies that gguf files hold as tensors of divisors."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, sqrt

import numpy as np
import numpy.typing as npt

from ggmlkit.arch.read_fields import shortest
from ggmlkit.errors import ConversionError


@dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's change of the rotation frequencies."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int

    def divisors(self, theta: float, dims: int) -> npt.NDArray[np.float32]:
        """What each frequency is divided by: float32 ``(dims / 2,)``, for rope_freqs.weight.

        Wavelengths short against the trained context stay, long ones are stretched by
        ``factor``, those between are blended.
        """
        exponent = np.arange(0, dims, 2, dtype=np.float64) / dims
        turns = self.original_context / (2 * pi * theta**exponent)  # in the trained context
        blend = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        blend = np.clip(blend, 0.0, 1.0)
        return (1.0 / ((1.0 - blend) / self.factor + blend)).astype(np.float32)


def llama3_of(
    divisors: npt.NDArray[np.float32], theta: float, dims: int, original: object
) -> Llama3Scaling | None:
    """The scaling that gives the divisors; None where they are all 1.

    Raises ConversionError for divisors that no scaling gives.
    """
    if np.all(divisors == 1):
        return None
    factor = shortest(float(divisors.max()))
    contexts = [8192] + ([original] if isinstance(original, int) else [])
    for context in contexts:
        guess = Llama3Scaling(factor, 1.0, 4.0, context)
        expected = guess.divisors(theta, dims)
        if expected.shape == divisors.shape and np.allclose(expected, divisors, rtol=1e-5, atol=0):
            return guess
    raise ConversionError("rope_freqs.weight does not come from a llama3 scaling that is known")


@dataclass(frozen=True)
class LongRope:
    """Divisors of the frequencies for contexts up to the trained one, and for longer ones.

    Ding et al., "LongRoPE", 2024, as Phi-3 has it. ``attention_factor`` multiplies cosine and sine.
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    original_context: int
    attention_factor: float


def long_attention_factor(factor: float, original_context: int) -> float:
    """What multiplies cosine and sine where contexts may be ``factor`` times the trained one."""
    if factor <= 1.0:
        return 1.0
    return shortest(sqrt(1 + log(factor) / log(original_context)))
