"""Figures about importance matrices, checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ggmlkit.calibration.statistics import layer_statistics, matrix_statistics
from ggmlkit.io.imatrix import Imatrix, ImatrixEntry

Q, Q1, UP = "blk.0.attn_q.weight", "blk.1.attn_q.weight", "blk.1.ffn_up.weight"


def entry(*sums: float, count: float = 2) -> ImatrixEntry:
    return ImatrixEntry(np.array([sums], np.float32), np.array([count], np.float32))


def test_figures_of_matrices_and_layers() -> None:
    entries = {
        UP: entry(2, 2),
        Q: entry(2, 4, 6, 0),
        Q1: entry(4, 8, 12, 20),
        "none.weight": entry(1, count=0),
    }
    first, second, third = matrix_statistics(Imatrix(entries))
    assert [first.name, second.name, third.name] == [Q1, Q, UP]
    assert (second.layer, second.columns, second.total) == (0, 4, 6)
    assert (second.least, second.greatest, second.mean) == (0, 3, 1.5)
    assert second.deviation == pytest.approx(math.sqrt(1.25))
    assert second.active == 0.75
    shares = (1 / 6, 2 / 6, 3 / 6)
    assert second.entropy == pytest.approx(-sum(p * math.log2(p) for p in shares))
    assert second.evenness == pytest.approx(second.entropy / 2)
    assert second.outliers == 0.25
    assert second.similarity == 0
    cosine = (8 + 32 + 72) / math.sqrt((4 + 16 + 36) * (16 + 64 + 144 + 400))
    assert first.similarity == pytest.approx(cosine)
    assert (third.deviation, third.outliers, third.evenness) == (0, 0, 1)
    layers = layer_statistics([first, second, third])
    assert [layer.layer for layer in layers] == [0, 1]
    assert layers[1].total == pytest.approx((4 * 22 + 2 * 2) / 6)
    assert layers[1].similarity == pytest.approx(4 * cosine / 6)
