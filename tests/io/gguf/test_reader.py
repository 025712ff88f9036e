"""gguf: value types, byte orders, and values that can't be written."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import gguf
from ggmlkit import io
from ggmlkit.tensor import Tensor
from paths import GOLDEN

EVERY_TYPE: dict[str, Any] = {
    "general.architecture": "llama",
    "a.u8": np.uint8(255),
    "a.i8": np.int8(-128),
    "a.u16": np.uint16(65535),
    "a.i16": np.int16(-32768),
    "a.u32": 2**32 - 1,
    "a.i32": -5,
    "a.f32": 0.1,
    "a.yes": True,
    "a.text": "grüße ▁",
    "a.empty": "",
    "a.bytes": b"\xff\xfe",
    "a.u64": 2**63,
    "a.i64": -(2**40),
    "a.f64": np.float64(0.1),
    "a.texts": ["x", "", "ü", b"\x80"],
    "a.numbers": np.arange(5, dtype=np.int32),
    "a.plain_numbers": [1, -2, 3],
    "a.floats": [0.5, 1.0],
    "a.flags": [True, False],
    "a.none": [],
    "a.nested": [np.arange(3, dtype=np.uint16), ["x", "y"], [[1.5]]],
    "split.no": 3,
}


def same(left: Any, right: Any) -> bool:
    if isinstance(left, (list, tuple, np.ndarray)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) or bool(np.float32(left) == np.float32(right))


@pytest.mark.parametrize("source_version", [1, 2, 3])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_stored_values_are_copied_to_the_same_bytes(
    tmp_path: Path, source_version: int, version: int
) -> None:
    path, written, copied = (tmp_path / name for name in ("a.gguf", "b.gguf", "c.gguf"))
    io.save(path, {}, EVERY_TYPE, version=source_version)
    with io.open(path) as file:
        stored = file.stored_values()
        assert set(stored) == (set(EVERY_TYPE) if source_version > 1 else set())
        metadata = {**file.metadata, "a.text": "other"}
        stored.pop("a.text", None)
        for out, values in ((written, None), (copied, stored)):
            io.save(
                out,
                {},
                metadata,
                version=version,
                value_types=file.value_types,
                stored_values=values,
            )
    assert copied.read_bytes() == written.read_bytes()


def test_big_endian_values_are_not_copied() -> None:
    with io.open(GOLDEN / "gguf-v3-be-f16.bin") as file:
        assert file.metadata
        assert file.stored_values() == {}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_value_type_comes_back(tmp_path: Path, version: int) -> None:
    path, again = tmp_path / "a.gguf", tmp_path / "b.gguf"
    io.save(path, {}, EVERY_TYPE, version=version)
    with io.open(path) as file:
        assert file.version == version
        assert list(file.metadata) == list(EVERY_TYPE)
        for key, value in EVERY_TYPE.items():
            assert same(file.metadata[key], value), key
        assert file.metadata["a.numbers"].dtype == np.int32
        assert file.metadata["a.flags"].dtype == np.bool_
        assert file.value_types["a.u8"] == 0
        assert file.value_types["a.f64"] == 12
        assert file.value_types["split.no"] == 2
        io.save(again, {}, file.metadata, version=version, value_types=file.value_types)
    assert again.read_bytes() == path.read_bytes()


def test_a_value_that_its_type_cannot_hold_gets_another_type(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    io.save(path, {}, {"n": 70000, "t": "x"}, value_types={"n": 2, "t": 4})
    with io.open(path) as file:
        assert file.metadata == {"n": 70000, "t": "x"}


def test_the_gguf_package_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    rng = np.random.default_rng(0)
    arrays = {f"t{n}": rng.standard_normal((3, 64)).astype(np.float32) for n in range(3)}
    tensors = {
        "t0": gk.quantize(arrays["t0"], "q4_0"),
        "t1": gk.quantize(arrays["t1"], "f16"),
        "t2": gk.quantize(arrays["t2"], "f32"),
    }
    plain = {k: v for k, v in EVERY_TYPE.items() if k not in ("a.nested", "a.bytes", "a.texts")}
    plain["general.alignment"] = 64
    io.save(path, tensors, plain)
    reader = gguf.GGUFReader(path)
    assert reader.alignment == 64
    for stored in reader.tensors:
        assert stored.data_offset % 64 == 0
        seen = gguf.dequantize(stored.data, stored.tensor_type).reshape(3, 64)
        assert np.array_equal(seen, tensors[stored.name].dequantize())
    assert reader.fields["a.text"].contents() == "grüße ▁"


def test_a_file_of_the_gguf_package_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_array("x.list", [1, 2, 3])
    values = np.arange(128, dtype=np.float32).reshape(2, 64)
    writer.add_tensor("plain", values)
    writer.add_tensor(
        "packed",
        gguf.quantize(values, gguf.GGMLQuantizationType.Q5_1),
        raw_dtype=gguf.GGMLQuantizationType.Q5_1,
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with io.open(path) as file:
        assert file.metadata["llama.block_count"] == 2
        assert file.metadata["x.list"].tolist() == [1, 2, 3]
        assert file["packed"].type.name == "q5_1"
        assert file["packed"].shape == (2, 64)
        assert np.array_equal(file["plain"].numpy(), values)


def test_the_first_quantizers_strings_lose_their_zero_byte(tmp_path: Path) -> None:
    def text(raw: bytes) -> bytes:
        return struct.pack("<I", len(raw)) + raw

    path = tmp_path / "old.gguf"
    pairs = text(b"k\0") + struct.pack("<I", 8) + text(b"value\0")
    pairs += text(b"list\0") + struct.pack("<III", 9, 8, 2) + text(b"\0") + text(b"\xff\0")
    path.write_bytes(b"GGUF" + struct.pack("<III", 1, 0, 2) + pairs)
    with io.open(path) as file:
        assert file.metadata == {"k": "value", "list": ["", b"\xff"]}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"k": None}, "NoneType"),
        ({"k": 2**64}, "too large"),
        ({"k": ["a", 1]}, "several kinds"),
        ({"k": np.zeros(2, complex)}, "complex"),
        ({"k": {"a": 1}}, "dict"),
        ({"general.alignment": 3}, "power of two"),
    ],
)
def test_values_without_a_gguf_type_are_refused(
    tmp_path: Path, metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(gk.ConversionError, match=message):
        io.save(tmp_path / "a.gguf", {}, metadata)
    assert list(tmp_path.iterdir()) == []


def test_legacy_layouts_are_refused(tmp_path: Path) -> None:
    tensor = Tensor("q4_0_v1", (1, 32), np.zeros(20, np.uint8), "t")
    with pytest.raises(gk.ConversionError, match="astype"):
        io.save(tmp_path / "a.gguf", [tensor], {})


def test_tensors_are_read_one_at_a_time(tmp_path: Path) -> None:
    """The next tensor's data isn't read while the last one's is alive."""
    import weakref

    last: list[weakref.ref[np.ndarray]] = []

    def data() -> np.ndarray:
        assert all(reference() is None for reference in last)
        array = np.zeros(32, np.uint8)
        last.append(weakref.ref(array))
        return array

    calls: list[tuple[int, int, str]] = []
    io.save(
        tmp_path / "a.gguf",
        {name: Tensor("i8", (32,), data, name) for name in "abc"},
        {},
        threads=1,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [(0, 96, "a"), (32, 96, "b"), (64, 96, "c"), (96, 96, "")]
