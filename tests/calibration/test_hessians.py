"""Sums of products of activations."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from ggmlkit.calibration import hessians as module
from ggmlkit.calibration import spilling
from ggmlkit.calibration.hessians import CrossSum, Hessian
from ggmlkit.calibration.spilling import Spilling

COLUMNS, TOKENS = 70, 300


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("rows", [16, 1024])
def test_the_means_are_those_of_float64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, rows: int
) -> None:
    monkeypatch.setattr(module, "_ROWS", rows)
    random = np.random.default_rng(0)
    x = random.standard_normal((TOKENS, COLUMNS), np.float32)
    exact = x + random.standard_normal(x.shape, np.float32) / 8
    arrays = Spilling(tmp_path, limit)
    hessian, cross = Hessian(COLUMNS, arrays), CrossSum(COLUMNS, arrays)
    for begin in range(0, TOKENS, 64):
        part = slice(begin, begin + 64)
        hessian.add(x[part])
        cross.add(exact[part], x[part])
    wide = x.astype(np.float64)
    found = hessian.mean()
    np.testing.assert_allclose(found, wide.T @ wide / TOKENS, atol=1e-6)
    np.testing.assert_array_equal(found, found.T)
    expected = (exact.astype(np.float64) - wide).T @ wide / TOKENS
    np.testing.assert_allclose(cross.mean(), expected, atol=1e-6)
    assert isinstance(found, np.memmap) == (limit == 0)


def test_memory_that_is_given_back_is_used_again(tmp_path: Path) -> None:
    arrays = Spilling(tmp_path, 800)
    first = arrays.zeros((10, 10), np.float64)
    second = arrays.zeros((10, 10), np.float64)
    assert [isinstance(each, np.memmap) for each in (first, second)] == [False, True]
    arrays.free(second)
    assert isinstance(arrays.zeros((10, 10), np.float64), np.memmap)
    arrays.free(first)
    assert not isinstance(arrays.zeros((10, 10), np.float64), np.memmap)


def test_files_have_no_names(tmp_path: Path) -> None:
    array = Spilling(tmp_path, 0).zeros((100, 3), np.float32)
    assert isinstance(array, np.memmap)
    array += 1
    assert array.sum() == 300
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spilling.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Spilling(tmp_path, 0).zeros((100, 3), np.float32)
