"""Differences between two files are named and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io, types
from ggmlkit.inspection.compare import Comparison, compare_files, compare_tensors
from ggmlkit.tensor import Tensor
from paths import GOLDEN


def saved(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Path:
    io.save(path, tensors, metadata, container="gguf")
    return path


def f32(*values: float) -> Tensor:
    return gk.quantize(np.array([values], np.float32), "f32")


def test_a_file_is_the_same_as_itself() -> None:
    for path in sorted(GOLDEN.glob("*.bin")):
        found = compare_files(path, path)
        assert found.same, path
        assert found.tensors
        assert all(pair.errors is not None for pair in found.tensors)
        assert all(pair.errors.maximum == 0 for pair in found.tensors if pair.errors)


def test_containers_compare_with_each_other() -> None:
    """The same weights in every float container, whatever their names and byte order."""
    for stem in ("ggml-f16", "ggmf-v1-f16", "ggjt-v3-f16", "gguf-v3-be-f16"):
        found = compare_files(GOLDEN / "gguf-v1-f16.bin", GOLDEN / f"{stem}.bin")
        assert len(found.tensors) == 21
        assert all(pair.identical for pair in found.tensors), stem
        assert not found.tensors_of_first
        assert not found.tensors_of_second
        assert "llama.attention.layer_norm_rms_epsilon" not in found.changed


def test_a_checkpoint_folder_compares_too(tmp_path: Path) -> None:
    source = GOLDEN / "gguf-v1-q5_0.bin"
    gk.export(source, tmp_path / "hf", "hf", "f32")
    found = compare_files(source, tmp_path / "hf")
    assert len(found.tensors) == 21
    assert all(pair.errors and pair.errors.maximum == 0 for pair in found.tensors)


def test_errors_of_quantization_are_measured() -> None:
    first, second = GOLDEN / "gguf-v1-f16.bin", GOLDEN / "gguf-v1-q4_0.bin"
    found = compare_files(first, second)
    with io.open(first) as one, io.open(second) as two:
        for pair in found.tensors:
            a, b = (file[pair.name].dequantize().astype(np.float64).ravel() for file in (one, two))
            assert pair.errors is not None
            assert pair.errors.maximum == np.abs(a - b).max()
            assert pair.errors.rms == pytest.approx(np.sqrt(np.mean((a - b) ** 2)))
            expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert pair.errors.cosine == pytest.approx(expected, abs=1e-12)
            assert pair.types == (one[pair.name].type.name, two[pair.name].type.name)
            assert pair.identical == (pair.types[0] == pair.types[1])


def test_large_tensors_are_compared_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).standard_normal((8, 1024)).astype(np.float32)
    one, two = gk.quantize(values, "q4_0"), gk.quantize(values, "q8_0")
    whole = compare_tensors("t", one, two)
    monkeypatch.setattr("ggmlkit.inspection.row_ranges._RUN", 1024)
    parts = compare_tensors("t", one, two)
    assert whole.errors is not None
    assert parts.errors is not None
    assert parts.errors.maximum == whole.errors.maximum
    assert parts.errors.rms == pytest.approx(whole.errors.rms)
    assert parts.errors.cosine == pytest.approx(whole.errors.cosine)


def test_differences_of_metadata_and_names(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"list": np.arange(3), "texts": ["a"], "f": 0.1, "nan": float("nan")}
    one = saved(tmp_path / "a.gguf", {"x": f32(1), "y": f32(1)}, kept | {"n": 1, "old": "o"})
    two = saved(tmp_path / "b.gguf", {"z": f32(1), "y": f32(1)}, kept | {"n": 2, "new": [1]})
    found = compare_files(one, two)
    assert found.changed == {"n": (1, 2)}
    assert found.keys_of_first == {"old": "o"}
    assert list(found.keys_of_second) == ["new"]
    assert [pair.name for pair in found.tensors] == ["y"]
    assert (found.tensors_of_first, found.tensors_of_second) == (["x"], ["z"])
    assert not found.same


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (["a", "b"], ["a", "c"]),
        (["a"], ["a", "b"]),
        (["a"], "a"),
        (np.arange(3), np.arange(4)),
        (1, 1.5),
        (True, False),
        ([[1, 2]], [[1, 3]]),
    ],
)
def test_values_that_differ(tmp_path: Path, one: Any, two: Any) -> None:
    paths = [saved(tmp_path / f"{n}.gguf", {}, {"k": value}) for n, value in enumerate((one, two))]
    assert list(compare_files(*paths).changed) == ["k"]


@pytest.mark.parametrize(
    ("one", "two", "maximum", "cosine"),
    [
        (f32(0, 0), f32(0, 0), 0.0, 1.0),
        (f32(0, 0), f32(0, 1), 1.0, 0.0),
        (f32(1, 2), f32(-1, -2), 4.0, -1.0),
        (f32(3e38, 1), f32(-3e38, 1), 6e38, -1.0),
    ],
)
def test_corner_values(one: Tensor, two: Tensor, maximum: float, cosine: float) -> None:
    errors = compare_tensors("t", one, two).errors
    assert errors is not None
    assert errors.maximum == pytest.approx(maximum)
    assert errors.cosine == pytest.approx(cosine)


def test_values_that_are_not_finite_give_nan() -> None:
    errors = compare_tensors("t", f32(1, float("nan")), f32(1, 2)).errors
    assert errors is not None
    assert np.isnan([errors.maximum, errors.rms, errors.cosine]).all()


def test_other_shapes_and_unknown_types_are_not_measured() -> None:
    pair = compare_tensors("t", f32(1, 2), f32(1, 2, 3))
    assert pair.errors is None
    assert pair.shapes == ((1, 2), (1, 3))
    unknown = next((t for t in types.ALL if t.is_quantized and not t.can_dequantize), None)
    if unknown is not None:
        data = np.zeros(unknown.block_bytes, np.uint8)
        tensor = Tensor(unknown, (1, unknown.block_size), data)
        pair = compare_tensors("t", tensor, tensor)
        other = Tensor(unknown, (1, unknown.block_size), data + 1)
        assert pair.identical
        assert compare_tensors("t", tensor, other).errors is None


def test_progress_is_reported(tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    path = saved(tmp_path / "a.gguf", {"x": f32(1), "y": f32(1, 2)}, {})
    found = compare_files(path, path, progress=lambda *call: calls.append(call))
    assert isinstance(found, Comparison)
    assert calls == [(0, 12, "x"), (4, 12, "y"), (12, 12, "")]
