"""Scales by importance alone: what is written, what is left, and what is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.calibration.rounding import rounded
from ggmlkit.errors import ArgumentError, UnstorableError
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"
Q, DOWN = "blk.0.attn_q.weight", "blk.0.ffn_down.weight"
quantize_file = partial(gk.quantize_file, threads=1)


@pytest.fixture(scope="module")
def importance() -> dict[str, NDArray[Any]]:
    """Of all matrices, as uneven as activations are."""
    random = np.random.default_rng(3)
    with io.open(F16) as file:
        return {
            name: np.exp(2 * random.standard_normal(tensor.shape[-1]))
            for name, tensor in file.items()
            if len(tensor.shape) == 2 and name != "token_embd.weight"
        }


def test_blocks_are_those_of_the_importance(
    tmp_path: Path, importance: dict[str, NDArray[Any]]
) -> None:
    out = tmp_path / "out.gguf"
    notes = quantize_file(
        F16, out, "q4_0", pure=True, importance=importance, calibrate=gk.ScaleSearch()
    )
    assert any(f"the scales of {len(importance)} matrices" in note for note in notes), notes
    plain = tmp_path / "plain.gguf"
    quantize_file(F16, plain, "q4_0", pure=True, importance=importance)
    with io.open(F16) as source, io.open(out) as found, io.open(plain) as without:
        assert found.metadata["quantize.calibration.method"] == "search"
        assert found.metadata["quantize.calibration.entries_count"] == len(importance)
        for name, weights in importance.items():
            exact = source[name].dequantize()
            expected = rounded(exact, weights, found[name].type, "search")
            assert found[name].data.tobytes() == expected.tobytes()
            ours = weights * (found[name].dequantize() - exact) ** 2
            theirs = weights * (without[name].dequantize() - exact) ** 2
            assert ours.sum() < 0.95 * theirs.sum()
        rest = set(found.names) - set(importance)
        assert all(found[name].data.tobytes() == without[name].data.tobytes() for name in rest)


def test_what_it_cannot_search_is_made_as_without_it(
    tmp_path: Path, importance: dict[str, NDArray[Any]]
) -> None:
    few = {Q: importance[Q]}
    types = [("blk.0.attn_q", "q8_0"), ("attn_k", "f16")]
    out, plain = tmp_path / "out.gguf", tmp_path / "plain.gguf"
    make = partial(quantize_file, F16, type="q4_0", pure=True, tensor_types=types, importance=few)
    notes = make(out=out, calibrate=gk.ScaleSearch())
    assert any("the scales of 1 matrices" in note for note in notes)
    assert not any("can't use importance" in note for note in notes), notes
    make(out=plain)
    with io.open(out) as found, io.open(plain) as without:
        assert found[Q].type.name == "q8_0"
        for name in set(found.names) - {Q}:
            assert found[name].data.tobytes() == without[name].data.tobytes()


def test_an_unknown_container_is_refused_before_the_work(
    tmp_path: Path, importance: dict[str, NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gk.ScaleSearch, "rounding", None)
    with pytest.raises(gk.ConversionError, match="the suffix names no container"):
        quantize_file(
            F16, tmp_path / "out.x", "q4_0", importance=importance, calibrate=gk.ScaleSearch()
        )


def test_nothing_to_search_is_said(tmp_path: Path, importance: dict[str, NDArray[Any]]) -> None:
    notes = quantize_file(
        F16, tmp_path / "out.gguf", "f32", importance=importance, calibrate=gk.ScaleSearch()
    )
    assert any("changed nothing" in note for note in notes), notes


@pytest.mark.parametrize("importance", [None, {}])
def test_it_needs_importance(tmp_path: Path, importance: Any) -> None:
    with pytest.raises(ArgumentError, match="give an importance matrix"):
        quantize_file(
            F16, tmp_path / "out.gguf", "q4_0", importance=importance, calibrate=gk.ScaleSearch()
        )
    assert not list(tmp_path.iterdir())


def test_a_weight_that_is_not_finite_is_named(
    tmp_path: Path, importance: dict[str, NDArray[Any]]
) -> None:
    source = tmp_path / "source.gguf"
    with io.open(F16) as file:
        values = file[DOWN].dequantize()
        values[1, 2] = np.nan
        io.save(source, {**file, DOWN: gk.quantize(values, "f32")}, file.metadata)
    out = tmp_path / "out.gguf"
    with pytest.raises(UnstorableError, match=DOWN):
        quantize_file(source, out, "q4_0", importance=importance, calibrate=gk.ScaleSearch())
    assert list(tmp_path.iterdir()) == [source]


def test_zero_importance_counts_all_columns_alike(tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    with io.open(F16) as source:
        columns = source[Q].shape[-1]
    zero = {Q: np.zeros(columns)}
    notes = quantize_file(F16, out, "q4_0", pure=True, importance=zero, calibrate=gk.ScaleSearch())
    assert notes
    with io.open(out) as found:
        assert np.isfinite(found[Q].dequantize()).all()
