"""Pictures of an evaluation."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.evaluation.evaluating import perplexity
from ggmlkit.evaluation.plots import binned, plot

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", STARTS)
def test_pictures_of_every_format(base: Path, text: str, tmp_path: Path, suffix: str) -> None:
    found = perplexity(base, text, context=32, chunks=2, base=base if suffix == "png" else None)
    path = tmp_path / f"a.{suffix}"
    plot(found, path, "title")
    assert path.read_bytes().startswith(STARTS[suffix])


def test_curves_are_means_of_neighbours() -> None:
    places, means = binned(np.arange(100, dtype=float), 10)
    assert places == means == [4.5 + 10 * n for n in range(10)]
    assert binned(np.array([1.0, 3.0]), 10) == ([0.0, 1.0], [1.0, 3.0])


def test_what_can_not_be_drawn(
    base: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = perplexity(base, text, context=32, chunks=2)
    with pytest.raises(gk.ArgumentError, match=r"must end in \.png, \.svg or \.pdf"):
        plot(found, tmp_path / "a.jpeg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(gk.ArgumentError, match=r"pip install ggmlkit\[plots\]"):
        plot(found, tmp_path / "a.png")
