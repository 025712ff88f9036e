"""Problems of a file are found and named, and its tensors are measured."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io, types
from ggmlkit.inspection.scales import broken_blocks
from ggmlkit.inspection.tensor_report import tensor_report
from ggmlkit.inspection.verify import verify_file
from ggmlkit.io.gguf.split import split_file
from ggmlkit.tensor import Tensor
from layouts import LAYOUTS
from paths import GOLDEN


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.bin")), ids=lambda path: path.stem)
def test_golden_files_are_sound(path: Path) -> None:
    found = verify_file(path, sha256=True)
    assert found.all_problems == []
    assert found.sha256 == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}
    with io.open(path) as file:
        assert [report.name for report in found.tensors] == file.names
        for report in found.tensors:
            tensor = file[report.name]
            values = tensor.dequantize().astype(np.float64)
            statistics = report.statistics
            assert statistics is not None
            assert (statistics.minimum, statistics.maximum) == (values.min(), values.max())
            assert statistics.mean == pytest.approx(values.mean(), abs=1e-9)
            assert statistics.rms == pytest.approx(np.sqrt((values**2).mean()))
            assert report.sha256 == hashlib.sha256(tensor.data.tobytes()).hexdigest()


def with_number(name: str, field: str, bits: int, blocks: int = 7, at: int = 4) -> Tensor:
    """Blocks of ones in every byte, with one scale replaced."""
    kind = types.get(name)
    data = np.ones(blocks * kind.block_bytes, np.uint8)
    data.view(np.dtype(LAYOUTS[name]))[field][at] = bits
    return Tensor(kind, (blocks * kind.block_size,), data, "t")


SCALES = [
    (name, field[0], field[1])
    for name, fields in LAYOUTS.items()
    for field in fields  # type: ignore[misc]
    if len(field) == 2 and field[0] in ("d", "m", "s") and field[1] in ("u2", "u4")
]


def test_all_of_todays_scales_are_listed() -> None:
    special = {"iq1_m", "mxfp4", "nvfp4"}
    quantized = {t.name for t in types.ALL if t.generation == "gguf" and t.is_quantized}
    assert quantized == {name for name, _, _ in SCALES} | special


@pytest.mark.parametrize(("name", "field", "code"), SCALES)
def test_a_scale_that_is_not_finite_is_found(name: str, field: str, code: str) -> None:
    infinity, sign = (0x7C00, 0x8000) if code == "u2" else (0x7F800000, 0x80000000)
    for bits in (infinity, infinity + 1, infinity | sign):
        assert broken_blocks(with_number(name, field, bits)).tolist() == [4]
    assert broken_blocks(with_number(name, field, infinity - 1)).tolist() == []


@pytest.mark.parametrize(
    ("name", "code", "offset"),
    [
        ("q4_0_v1", "<f4", 0),
        ("q4_1_v1", "<f4", 4),
        ("q5_0_v1", "<f2", 0),
        ("q5_1_v1", "<f2", 2),
        ("q4_0_v2", "<f4", 0),
        ("q4_1_v2", "<f4", 4),
        ("q8_0_v2", "<f4", 0),
        ("q4_2", "<f2", 0),
        ("q4_3", "<f2", 2),
    ],
)
def test_scales_of_old_layouts(name: str, code: str, offset: int) -> None:
    kind = types.get(name)
    data = np.zeros(3 * kind.block_bytes, np.uint8)
    size = np.dtype(code).itemsize
    start = kind.block_bytes + offset
    data[start : start + size] = np.array([np.nan], code).view(np.uint8)
    tensor = Tensor(kind, (3 * kind.block_size,), data, "t")
    assert broken_blocks(tensor).tolist() == [1]
    assert tensor_report("t", tensor).problems == [
        "tensor 't': block 1 has a scale that isn't finite"
    ]


def test_scales_in_odd_places() -> None:
    iq1_m = with_number("iq1_m", "scales", 0)
    for part, top in enumerate((0x0, 0x0, 0xC, 0x7)):  # the half 0x7C00, four bits a number
        iq1_m.data.view(np.dtype(LAYOUTS["iq1_m"]))["scales"][2, part] = top << 12
    assert broken_blocks(iq1_m).tolist() == [2]
    assert broken_blocks(with_number("mxfp4", "e", 0xFF)).tolist() == [4]
    assert broken_blocks(with_number("mxfp4", "e", 0xFE)).tolist() == []
    assert broken_blocks(with_number("nvfp4", "d", 0x7F)).tolist() == [4]
    assert broken_blocks(with_number("nvfp4", "d", 0x7E)).tolist() == []


def f32(values: list[float]) -> Tensor:
    array = np.array(values, np.float32)
    return Tensor("f32", array.shape, array.view(np.uint8), "t")


@pytest.mark.parametrize("name", ["f32", "f16", "bf16"])
def test_a_value_that_is_not_finite_is_named(name: str) -> None:
    tensor = Tensor(name, (8,), gk.quantize(np.arange(8), name).data.copy(), "t")
    width = tensor.type.block_bytes
    for at in (2, 6):
        tensor.data[at * width : (at + 1) * width] = 0xFF
    found = tensor_report("t", tensor)
    assert found.problems == ["tensor 't': value 2 isn't finite, and 1 more"]
    assert found.statistics is not None
    assert (found.statistics.minimum, found.statistics.maximum) == (0, 7)


def test_values_too_large_for_finite_scales_name_their_block() -> None:
    data = np.zeros(2 * 20, np.uint8)
    data[20:24] = np.array([3e38], "<f4").view(np.uint8)  # times -8
    tensor = Tensor("q4_0_v1", (64,), data, "t")
    assert tensor_report("t", tensor).problems == [
        "tensor 't': value 32, in block 1, isn't finite, and 31 more"
    ]


def test_doubles_keep_their_range() -> None:
    values = np.array([1e300, -1.0])
    found = tensor_report("t", Tensor("f64", (2,), values.view(np.uint8), "t"))
    assert found.problems == []
    assert found.statistics is not None
    assert found.statistics.maximum == 1e300


def test_problems_are_counted_over_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggmlkit.inspection.row_ranges._RUN", 64)
    values = np.zeros(300, np.float32)
    values[[130, 131, 290]] = np.inf
    assert tensor_report("t", f32(values.tolist())).problems == [
        "tensor 't': value 130 isn't finite, and 2 more"
    ]
    tensor = with_number("q8_0", "d", 0x7C00, blocks=9, at=5)
    assert tensor_report("t", tensor).problems == [
        "tensor 't': block 5 has a scale that isn't finite"
    ]


def test_tensors_without_values() -> None:
    for tensor in (f32([]), f32([float("nan")])):
        assert tensor_report("t", tensor).statistics is None


def gguf_of(path: Path, entries: list[tuple[str, int, int]], size: int) -> Path:
    """f32 tensors given as (name, elements, offset), over ``size`` bytes of zeros."""
    raw = b"GGUF" + struct.pack("<IQQ", 3, len(entries), 0)
    for name, elements, offset in entries:
        raw += struct.pack("<Q", len(name)) + name.encode()
        raw += struct.pack("<IQIQ", 1, elements, 0, offset)
    path.write_bytes(raw + bytes(-len(raw) % 32) + bytes(size))
    return path


def test_tensors_that_share_bytes_are_named(tmp_path: Path) -> None:
    path = gguf_of(tmp_path / "a.gguf", [("a", 16, 32), ("b", 8, 0), ("c", 8, 64)], 96)
    start = path.stat().st_size - 96
    assert verify_file(path).problems == [f"tensors 'a' and 'c' share bytes from {start + 64} on"]
    sound = gguf_of(tmp_path / "b.gguf", [("a", 8, 32), ("b", 8, 0), ("c", 0, 32)], 64)
    assert verify_file(sound).problems == []


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("tokenizer.ggml.scores", [0.0], "has 1 entries for 2 tokens"),
        ("tokenizer.ggml.token_type", [1, 1, 1], "has 3 entries for 2 tokens"),
        ("tokenizer.ggml.token_type", 7, "has 1 entries for 2 tokens"),
        ("tokenizer.ggml.scores", [0.0, 1.0], None),
    ],
)
def test_lists_of_the_vocabulary_are_equally_long(
    tmp_path: Path, key: str, value: Any, problem: str | None
) -> None:
    io.save(tmp_path / "a.gguf", {}, {"tokenizer.ggml.tokens": ["a", "b"], key: value})
    wanted = [] if problem is None else [f"{key} {problem}"]
    assert verify_file(tmp_path / "a.gguf").problems == wanted


def test_all_files_of_a_model_are_hashed(tmp_path: Path) -> None:
    parts = split_file(GOLDEN / "gguf-v1-f16.bin", tmp_path / "m", max_tensors=8)
    found = verify_file(parts[1], sha256=True)
    assert list(found.sha256) == [str(part) for part in parts]
    assert found.all_problems == []


def test_a_damaged_structure_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes((GOLDEN / "gguf-v1-f16.bin").read_bytes()[:20000])
    with pytest.raises(gk.FormatError):
        verify_file(tmp_path / "a.gguf")
