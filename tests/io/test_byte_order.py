"""gguf in the other byte order: read, written, and compared with the `gguf` package."""

from __future__ import annotations

import struct
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from gguf.scripts.gguf_convert_endian import convert_byteorder

import ggmlkit as gk
import gguf
from decoders import decode
from ggmlkit import io, types
from ggmlkit.io.byteswap import in_other_order, swapped
from ggmlkit.io.writing.stream import Part, PartedTensor
from ggmlkit.tensor import Tensor
from layouts import LAYOUTS
from paths import GOLDEN


def random_tensor(name: str, blocks: int = 5) -> Tensor:
    kind = types.get(name)
    data = np.random.default_rng(kind.index).integers(0, 256, blocks * kind.block_bytes, np.uint8)
    return Tensor(kind, (1, blocks * kind.block_size), data, name)


def in_big_endian(tensor: Tensor) -> bytes:
    return tensor.data.view(np.dtype(LAYOUTS[tensor.type.name])).byteswap().tobytes()


def test_every_type_of_gguf_has_its_layout_here() -> None:
    todays = {t.name for t in types.ALL if t.generation == "gguf"}
    assert todays <= set(LAYOUTS)
    for name in todays:
        assert np.dtype(LAYOUTS[name]).itemsize == types.get(name).block_bytes, name


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_number_of_a_block_is_swapped(name: str) -> None:
    tensor = random_tensor(name)
    other = swapped(tensor.data, tensor.type)
    assert other.tobytes() == in_big_endian(tensor)
    assert np.array_equal(swapped(other, tensor.type), tensor.data)


def test_a_tensor_without_values_can_be_swapped() -> None:
    empty = Tensor(types.get("q5_0"), (0, 64), np.empty(0, np.uint8), "t")
    assert swapped(empty.data, empty.type).size == 0
    assert in_other_order(empty).dequantize().shape == (0, 64)


def test_a_layout_of_one_byte_order_is_refused() -> None:
    tensor = random_tensor("q4_0_v1")
    with pytest.raises(gk.UnsupportedTypeError, match="q4_0_v1"):
        in_other_order(tensor)


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
def test_a_big_endian_file_is_read(tmp_path: Path, name: str) -> None:
    values = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)
    tensor = gk.quantize(values, name)
    header = b"GGUF" + struct.pack(">IQQ", 3, 1, 1)
    header += struct.pack(">Q", 3) + b"key" + struct.pack(">Id", 12, 1.5)
    header += struct.pack(">Q", 1) + b"t" + struct.pack(">IQQIQ", 2, 64, 4, tensor.type.ggml_id, 0)
    path = tmp_path / "big.gguf"
    path.write_bytes(header + bytes(-len(header) % 32) + in_big_endian(tensor))
    with io.open(path) as file:
        assert file.byte_order == "big"
        assert file.metadata == {"key": 1.5}
        assert np.array_equal(file["t"].data, tensor.data)
        assert np.array_equal(file["t"].dequantize(), decode(name, tensor.data, tensor.shape))


def test_big_endian_values_are_not_copied() -> None:
    with io.open(GOLDEN / "gguf-v3-be-f16.bin") as file:
        assert file.metadata
        assert file.stored_values() == {}


def test_the_big_endian_golden_file_is_written_again(tmp_path: Path) -> None:
    path = GOLDEN / "gguf-v3-be-f16.bin"
    again = tmp_path / "again.gguf"
    with io.open(path) as file:
        io.save(
            again,
            file.tensors,
            file.metadata,
            byte_order=file.byte_order,
            value_types=file.value_types,
        )
    assert again.read_bytes() == path.read_bytes()


def test_little_to_big_and_back(tmp_path: Path) -> None:
    little, big, back = (tmp_path / f"{name}.gguf" for name in ("little", "big", "back"))
    metadata = {
        "general.architecture": "llama",
        "n": 70000,
        "f": 1.5,
        "yes": True,
        "texts": ["a", "ü"],
        "shorts": np.arange(5, dtype=np.int16),
        "nested": [[1, 2], ["x"]],
        "general.alignment": 64,
    }
    io.save(little, [random_tensor(name) for name in LAYOUTS], metadata)
    for source, out, order in ((little, big, "big"), (big, back, "little")):
        with io.open(source) as file:
            io.save(
                out,
                file.tensors,
                file.metadata,
                byte_order=order,  # type: ignore[arg-type]
                value_types=file.value_types,
                stored_values=file.stored_values(),
            )
    assert back.read_bytes() == little.read_bytes()
    assert big.read_bytes() != little.read_bytes()


def test_the_gguf_package_reads_what_is_written_big_endian(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    values = np.arange(64, dtype=np.float32).reshape(2, 32)
    tensors = {"plain": gk.quantize(values, "f32"), "packed": gk.quantize(values, "q5_1")}
    metadata = {"general.architecture": "llama", "x.n": 7, "x.list": [1, 2], "x.text": "ü"}
    io.save(path, tensors, metadata, byte_order="big")
    reader = gguf.GGUFReader(path)
    assert reader.endianess == gguf.GGUFEndian.BIG
    assert reader.fields["x.n"].contents() == 7
    assert reader.fields["x.list"].contents() == [1, 2]
    assert reader.fields["x.text"].contents() == "ü"
    plain, packed = reader.tensors
    assert np.array_equal(plain.data, values)
    assert packed.data.tobytes() == in_big_endian(tensors["packed"])


def test_a_big_endian_file_of_the_gguf_package_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    writer = gguf.GGUFWriter(path, "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_block_count(2)
    values = np.arange(64, dtype=np.float32).reshape(2, 32)
    writer.add_tensor("plain", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with io.open(path) as file:
        assert file.byte_order == "big"
        assert file.metadata["llama.block_count"] == 2
        assert np.array_equal(file["plain"].numpy(), values)


def test_the_gguf_packages_converter_makes_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "YES")  # it asks for confirmation
    little, big = tmp_path / "little.gguf", tmp_path / "big.gguf"
    names = ("f32", "f16", "q4_0", "q8_0", "q4_K", "q6_K", "mxfp4")
    tensors = [random_tensor(name) for name in names]
    metadata = {"general.architecture": "llama", "n": 1, "list": [1, 2, 3], "text": "x"}
    io.save(little, tensors, metadata)
    io.save(big, tensors, metadata, byte_order="big")
    converted = tmp_path / "converted.gguf"
    converted.write_bytes(little.read_bytes())
    reader = gguf.GGUFReader(converted, "r+")
    convert_byteorder(reader, Namespace(order="big", dry_run=False))
    reader.data.flush()
    assert converted.read_bytes() == big.read_bytes()


def test_data_made_in_parts_is_swapped_part_by_part(tmp_path: Path) -> None:
    whole = random_tensor("q5_0", 4)

    def maker(start: int) -> Part:
        def make(out: np.ndarray, threads: int | None) -> None:
            assert threads == 1
            out[:] = whole.data[start : start + 44]

        return Part(44, make)

    tensor = PartedTensor("q5_0", whole.shape, lambda: map(maker, (0, 44)), "t")
    io.save(tmp_path / "big.gguf", [tensor], {}, byte_order="big")
    assert in_big_endian(whole) in (tmp_path / "big.gguf").read_bytes()
    with io.open(tmp_path / "big.gguf") as file:
        assert np.array_equal(file["t"].data, whole.data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": 2, "byte_order": "big"}, "v2 is little-endian"),
        ({"byte_order": "middle"}, "middle"),
        ({"byte_order": "big", "container": "ggjt"}, "ggjt files are little-endian"),
    ],
)
def test_what_cannot_be_big_endian_is_refused(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(gk.ConversionError, match=message):
        io.save(tmp_path / "a.gguf", {}, {}, **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
