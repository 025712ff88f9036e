"""Importance matrices that are joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.io.imatrix import Imatrix, ImatrixEntry, save_imatrix

NAME = "blk.0.ffn_up.weight"


def entry(sums: list[list[float]], counts: list[float]) -> ImatrixEntry:
    return ImatrixEntry(np.array(sums, np.float32), np.array(counts, np.float32))


def saved(path: Path, entries: dict[str, ImatrixEntry], size: int = 8) -> Path:
    save_imatrix(path, Imatrix(entries, [path.stem], 2, size))
    return path


def test_sums_and_counts_are_added(tmp_path: Path) -> None:
    one = saved(tmp_path / "a.gguf", {NAME: entry([[1, 2]], [16]), "x": entry([[5]], [16])})
    other = saved(tmp_path / "b.gguf", {NAME: entry([[3, 4]], [8])})
    found = gk.merge_imatrices([one, other], 8)
    assert found.entries[NAME].sums.tolist() == [[4, 6]]
    assert found.entries[NAME].counts.tolist() == [24]
    assert found.entries["x"].counts.tolist() == [16]
    assert (found.datasets, found.chunk_count, found.chunk_size) == (["a", "b"], 3, 8)


def test_the_binary_form_counts_chunks(tmp_path: Path) -> None:
    one = saved(tmp_path / "a.dat", {NAME: entry([[16, 32]], [16])})  # 2 chunks of 8
    found = gk.merge_imatrices([one], 8)
    assert found.entries[NAME].sums.tolist() == [[16, 32]]
    assert found.entries[NAME].counts.tolist() == [16]


def test_experts_of_both_forms_are_added(tmp_path: Path) -> None:
    experts = {NAME: entry([[8, 16], [24, 8]], [8, 8])}
    one, other = saved(tmp_path / "a.gguf", experts), saved(tmp_path / "b.dat", experts)
    for paths in ([one, other], [other, one]):
        found = gk.merge_imatrices(paths, 8).entries[NAME]
        assert found.sums.tolist() == [[16, 32], [48, 16]]
        assert found.counts.tolist() == [16, 16]


def test_files_of_different_models_are_refused(tmp_path: Path) -> None:
    one = saved(tmp_path / "a.gguf", {NAME: entry([[1, 2]], [16])})
    wide = saved(tmp_path / "b.gguf", {NAME: entry([[3, 4, 5]], [8])})
    with pytest.raises(gk.ImportanceError, match=r"b\.gguf is another model's.* has 3 columns"):
        gk.merge_imatrices([one, wide])
    foreign = saved(tmp_path / "c.gguf", {"y": entry([[3, 4]], [8])})
    with pytest.raises(gk.ImportanceError, match=r"c\.gguf is another model's.* in common"):
        gk.merge_imatrices([one, foreign])
    with pytest.raises(gk.ArgumentError, match="a list of one importance matrix or more"):
        gk.merge_imatrices([])
