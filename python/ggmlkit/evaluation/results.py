"""Figures of an evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.evaluation.estimate import (
    Estimate,
    exponential_of,
    mean_of,
    root_mean_square_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.evaluation.distributions import Records

    Floats = NDArray[np.float64]

QUANTILES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


@dataclass(frozen=True)
class Divergence:
    """How far a model is from its base.

    Attributes:
        base_perplexity: of the base on the same positions.
        perplexity_ratio: the model's perplexity over the base's.
        log_perplexity_ratio: its logarithm, in nats: the mean loss of a token.
        kl: mean Kullback-Leibler divergence of the model's distribution from the base's, in nats.
        kl_quantiles: the divergence that this share of positions does not exceed, by share.
        top_1: share of positions where both find the same token likeliest.
        top_5: share of the base's five likeliest tokens that are among the model's five likeliest.
        p_difference: mean of the probability that the model gives the token that came next, minus
            the base's.
        p_difference_rms: root mean square of that difference.
        kl_by_position: the mean divergence at each scored position, float64 ``(positions,)``.
    """

    base_perplexity: Estimate
    perplexity_ratio: Estimate
    log_perplexity_ratio: Estimate
    kl: Estimate
    kl_quantiles: dict[float, float]
    top_1: Estimate
    top_5: Estimate
    p_difference: Estimate
    p_difference_rms: Estimate
    kl_by_position: Floats = field(repr=False, compare=False)


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text.

    Attributes:
        perplexity: ``exp`` of the mean negative log-probability of the scored tokens: among so
            many equally likely tokens the model chooses at each one.
        tokens: that were scored.
        chunks: of the text.
        context: tokens of a chunk.
        first_position: the place in a chunk of the first token that predicts a scored one.
        by_position: the perplexity at each scored position, float64 ``(positions,)``.
        nll: of each scored token the negative log-probability in nats, float64
            ``(chunks, positions)``.
        base: how far the model is from its base; None without one.
    """

    perplexity: Estimate
    tokens: int
    chunks: int
    context: int
    first_position: int
    by_position: Floats = field(repr=False, compare=False)
    nll: Floats = field(repr=False, compare=False)
    base: Divergence | None = None

    def as_dict(self) -> dict[str, Any]:
        """All figures and curves as JSON can say them; single tokens are left out."""
        document = asdict(self)
        del document["nll"]
        document["by_position"] = self.by_position.tolist()
        if self.base is not None:
            of_base = document["base"]
            of_base["kl_by_position"] = self.base.kl_by_position.tolist()
            of_base["kl_quantiles"] = {f"{q:g}": v for q, v in self.base.kl_quantiles.items()}
        return document


def perplexity_of(records: Records, context: int, vocab: int, *, has_base: bool) -> Perplexity:
    """The figures of what was found at each position.

    Args:
        records: RECORD ``(chunks, positions)``.
        context: tokens of a chunk.
        vocab: tokens of the vocabulary.
        has_base: whether the model was compared with one.
    """
    nll = np.ascontiguousarray(records["nll"])
    with np.errstate(over="ignore"):
        by_position = np.exp(nll.mean(axis=0))
    return Perplexity(
        perplexity=exponential_of(mean_of(nll)),
        tokens=nll.size,
        chunks=len(records),
        context=context,
        first_position=context // 2,
        by_position=by_position,
        nll=nll,
        base=_divergence(records, vocab) if has_base else None,
    )


def _divergence(records: Records, vocab: int) -> Divergence:
    nll, base_nll, kl = records["nll"], records["base_nll"], records["kl"]
    log_ratio = mean_of(nll - base_nll)
    difference = np.exp(-nll) - np.exp(-base_nll)
    quantiles = np.quantile(kl, QUANTILES)
    return Divergence(
        base_perplexity=exponential_of(mean_of(base_nll)),
        perplexity_ratio=exponential_of(log_ratio),
        log_perplexity_ratio=log_ratio,
        kl=mean_of(kl),
        kl_quantiles=dict(zip(QUANTILES, quantiles.tolist(), strict=True)),
        top_1=mean_of(records["same_top"]),
        top_5=mean_of(records["top_5"] / min(5, vocab)),
        p_difference=mean_of(difference),
        p_difference_rms=root_mean_square_of(difference),
        kl_by_position=kl.mean(axis=0),
    )
