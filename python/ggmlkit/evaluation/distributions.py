"""What a base predicts at some positions, and how far a model's predictions are from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Records = NDArray[np.void]

# What is known of a position: the negative log-probabilities (nats) of the token that came next by
# the model and by the base, the KL divergence of the model from the base (nats), whether both find
# the same token likeliest, and how many of the base's five likeliest are among the model's.
RECORD = np.dtype(
    [("nll", "<f8"), ("base_nll", "<f8"), ("kl", "<f8"), ("same_top", "u1"), ("top_5", "u1")]
)
_TOP = 5


def log_sums(logits: Floats) -> NDArray[np.float64]:
    """The logarithm of the sum of exponentials of each row: float64 ``(rows,)``."""
    highest = logits.max(axis=1, keepdims=True)
    sums = np.exp(logits - highest).sum(axis=1, dtype=np.float64)
    found: NDArray[np.float64] = highest[:, 0] + np.log(sums)
    return found


def log_softmax(logits: Floats) -> Floats:
    """The log-probabilities of each row of logits, float32."""
    return logits - log_sums(logits).astype(np.float32)[:, np.newaxis]


def at(rows: Floats, ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """Of each row the element that an id names: float64 ``(rows,)``."""
    found: NDArray[np.float64] = rows[np.arange(len(ids)), ids].astype(np.float64)
    return found


def likeliest(rows: Floats, count: int) -> NDArray[np.int64]:
    """The ids of the ``count`` likeliest tokens of each row, the likeliest first.

    Of equally likely ones, those with the lowest ids count.
    """
    width = rows.shape[1]
    count = min(count, width)
    ids = np.argpartition(rows, width - count, axis=1)[:, width - count :]
    # Where equals lie on both sides of the border, the partition may have taken any of them.
    least = np.take_along_axis(rows, ids, axis=1).min(axis=1, keepdims=True)
    for row in np.flatnonzero((rows >= least).sum(axis=1) > count):
        ids[row] = np.argsort(-rows[row], kind="stable")[:count]
    ids.sort(axis=1)
    order = np.argsort(-np.take_along_axis(rows, ids, axis=1), axis=1, kind="stable")
    return np.take_along_axis(ids, order, axis=1)


class Distribution(Protocol):
    """What a base predicts at some positions."""

    def compare(self, rows: slice, log_probs: Floats, targets: NDArray[np.int32]) -> Records:
        """A RECORD for each of some positions.

        Args:
            rows: the positions, among those of this distribution.
            log_probs: the model's, float32 ``(positions, vocab)``.
            targets: the ids that came next.
        """
        ...


class FullDistribution:
    """The log-probabilities of all tokens.

    Args:
        log_probs: gives those of some positions, float32 ``(positions, vocab)``.
        floor: tokens of this log-probability or a lower one count as impossible to the base:
            a file knows no lower ones.
    """

    def __init__(self, log_probs: Callable[[slice], Floats], floor: float | None = None) -> None:
        self._log_probs = log_probs
        self._floor = floor

    def compare(self, rows: slice, log_probs: Floats, targets: NDArray[np.int32]) -> Records:
        """See :class:`Distribution`."""
        base = self._log_probs(rows)
        found = np.empty(len(targets), RECORD)
        found["nll"], found["base_nll"] = -at(log_probs, targets), -at(base, targets)
        terms = base - log_probs
        terms *= np.exp(base)
        if self._floor is not None:
            terms[base <= self._floor] = 0
        found["kl"] = terms.sum(axis=1, dtype=np.float64)
        _compare_top(found, log_probs, likeliest(base, _TOP))
        return found


class TopDistribution:
    """The log-probabilities of the likeliest tokens, and what all others have together.

    Args:
        ids: of the tokens, int ``(positions, top)``, the likeliest first.
        log_probs: theirs, float32 ``(positions, top)``.
        targets: of the token that came next, float32 ``(positions,)``.
        rest: the probability of all other tokens together, float32 ``(positions,)``.
    """

    def __init__(
        self, ids: NDArray[np.integer], log_probs: Floats, targets: Floats, rest: Floats
    ) -> None:
        self._ids, self._log_probs, self._targets, self._rest = ids, log_probs, targets, rest

    def compare(self, rows: slice, log_probs: Floats, targets: NDArray[np.int32]) -> Records:
        """See :class:`Distribution`. The divergence takes all other tokens for one."""
        ids, base = self._ids[rows], self._log_probs[rows].astype(np.float64)
        model = np.take_along_axis(log_probs, ids, axis=1).astype(np.float64)
        found = np.empty(len(targets), RECORD)
        found["nll"], found["base_nll"] = -at(log_probs, targets), -self._targets[rows]
        rest = self._rest[rows].astype(np.float64)
        other = np.maximum(1 - np.exp(model).sum(axis=1), np.finfo(np.float32).tiny)
        of_rest = np.where(rest > 0, rest * np.log(np.maximum(rest, 1e-300) / other), 0.0)
        found["kl"] = (np.exp(base) * (base - model)).sum(axis=1) + of_rest
        _compare_top(found, log_probs, ids[:, :_TOP])
        return found


def top_of(log_probs: Floats, top: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    """The likeliest tokens of each position: ids, log-probabilities, and what the others have."""
    ids = likeliest(log_probs, top)
    kept = np.take_along_axis(log_probs, ids, axis=1)
    rest = 1 - np.exp(kept.astype(np.float64)).sum(axis=1)
    if ids.shape[1] == log_probs.shape[1]:
        rest[:] = 0
    return ids, kept, np.maximum(rest, 0).astype(np.float32)


def _compare_top(found: Records, log_probs: Floats, base: NDArray[np.integer]) -> None:
    model = likeliest(log_probs, _TOP)
    found["same_top"] = model[:, 0] == base[:, 0]
    found["top_5"] = (model[:, :, np.newaxis] == base[:, np.newaxis, :]).any(axis=1).sum(axis=1)
