"""What each setting of a sampler means, in plain numpy: logits in, logits or probabilities out.

A token that is left out has the logit -inf. The first of equal logits counts as the likelier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


def _only(logits: Floats, kept: Sequence[int] | NDArray[np.intp]) -> Floats:
    out = np.full_like(logits, -np.inf)
    out[kept] = logits[kept]
    return out


def _order(logits: Floats) -> NDArray[np.intp]:
    """Tokens that are left, likeliest first."""
    order = np.argsort(-logits, kind="stable")
    return order[np.isfinite(logits[order])]


def _reaching(shares: Floats, p: float) -> int:
    """How many of these shares it takes until their sum is at least p."""
    return min(int(np.searchsorted(np.cumsum(shares), p)) + 1, len(shares))


def top_k(logits: Floats, k: int, keep: int = 1) -> Floats:
    return logits if k == 0 else _only(logits, _order(logits)[: max(k, keep)])


def top_p(logits: Floats, p: float, keep: int = 1) -> Floats:
    if p >= 1:
        return logits
    order = _order(logits)
    return _only(logits, order[: max(_reaching(softmax(logits)[order], p), keep)])


def min_p(logits: Floats, share: float, keep: int = 1) -> Floats:
    shares, order = softmax(logits), _order(logits)
    n = int((shares[order] >= share * shares.max() * (1 - 1e-12)).sum())
    return _only(logits, order[: max(n, keep)])


def typical_p(logits: Floats, p: float, keep: int = 1) -> Floats:
    if p >= 1:
        return logits
    order = _order(logits)
    shares = softmax(logits)[order]
    surprise = -np.log(shares)
    nearest = np.argsort(np.abs(surprise - (shares * surprise).sum()), kind="stable")
    return _only(logits, order[nearest[: max(_reaching(shares[nearest], p), keep)]])


def top_n_sigma(logits: Floats, n: float, keep: int = 1) -> Floats:
    if n == 0:
        return logits
    order = _order(logits)
    left = logits[order]
    count = int((left >= left.max() - n * left.std()).sum())
    return _only(logits, order[: max(count, keep)])


def xtc(logits: Floats, threshold: float, keep: int = 1) -> Floats:
    order = _order(logits)
    choices = int((softmax(logits)[order] >= threshold).sum())
    out = max(0, min(choices - 1, len(order) - keep))
    return _only(logits, order[out:])


def temperature(logits: Floats, t: float, range: float = 0, exponent: float = 1) -> Floats:
    if range > 0:
        shares = softmax(logits)[_order(logits)]
        most = np.log(len(shares))
        share = -(shares * np.log(shares)).sum() / most if len(shares) > 1 else 0
        low = max(0.0, t - range)
        t = max(1e-6, low + (t + range - low) * share**exponent)
    return logits / t


def penalties(
    logits: Floats, recent: Sequence[int], repeat: float, frequency: float, presence: float
) -> Floats:
    out = logits.copy()
    for token in set(recent):
        out[token] = out[token] / repeat if out[token] > 0 else out[token] * repeat
        out[token] -= recent.count(token) * frequency + presence
    return out


def dry(
    logits: Floats,
    recent: Sequence[int],
    multiplier: float,
    base: float,
    allowed_length: int,
    breakers: Sequence[int],
) -> Floats:
    """By looking at every earlier place for every token."""
    out = logits.copy()
    for token in range(len(logits)):
        longest = 0
        for place, found in enumerate(recent):
            if found != token or token in breakers:
                continue
            n = 0
            while n < place and recent[place - 1 - n] == recent[len(recent) - 1 - n]:
                if recent[place - 1 - n] in breakers:
                    break
                n += 1
            longest = max(longest, n)
        if longest >= max(1, allowed_length):
            out[token] -= multiplier * base ** (longest - allowed_length)
    return out


def mirostat_1(logits: Floats, mu: float) -> Floats:
    order = _order(logits)
    shares = softmax(logits)[order]
    i = np.arange(min(100, len(shares)) - 1)
    t = np.log((i + 2) / (i + 1))
    s = (t * np.log(shares[i] / shares[i + 1])).sum() / (t * t).sum()
    epsilon = s - 1
    k = (epsilon * 2**mu / (1 - len(shares) ** -epsilon)) ** (1 / s)
    return _only(logits, order[: max(1, int(k))])


def mirostat_2(logits: Floats, mu: float) -> Floats:
    order = _order(logits)
    n = int((-np.log2(softmax(logits)[order]) <= mu).sum())
    return _only(logits, order[: max(1, n)])


def probabilities(logits: Floats, recent: Sequence[int], settings: dict[str, Any]) -> Floats:
    """Of each token, by the settings of SamplingParams in their order, without Mirostat."""
    s = settings
    keep = s.get("min_keep", 1)
    last = s["repeat_last_n"]
    steps: dict[str, Callable[[Floats], Floats]] = {
        "penalties": lambda x: penalties(
            x,
            list(recent[max(0, len(recent) - last) :]),
            s["repeat_penalty"],
            s["frequency_penalty"],
            s["presence_penalty"],
        ),
        "dry": lambda x: dry(
            x, list(recent), s["dry_multiplier"], s["dry_base"], s["dry_allowed_length"],
            s["breakers"],
        ),
        "top_n_sigma": lambda x: top_n_sigma(x, s["top_n_sigma"], keep),
        "top_k": lambda x: top_k(x, s["top_k"], keep),
        "typical_p": lambda x: typical_p(x, s["typical_p"], keep),
        "top_p": lambda x: top_p(x, s["top_p"], keep),
        "min_p": lambda x: min_p(x, s["min_p"], keep),
        "temperature": lambda x: temperature(
            x, s["temperature"], s["dynatemp_range"], s["dynatemp_exponent"]
        ),
    }  # fmt: skip

    def after(logits: Floats, names: Sequence[str]) -> Floats:
        for i, name in enumerate(names):
            if name == "xtc" and s["xtc_probability"] > 0:
                rest = names[i + 1 :]
                chosen = after(xtc(logits, s["xtc_threshold"], keep), rest)
                p = s["xtc_probability"]
                return p * chosen + (1 - p) * after(logits, rest)
            if name != "xtc":
                logits = steps[name](logits)
        return softmax(logits)

    return after(logits, s["samplers"])
