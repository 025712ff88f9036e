"""Flax's MessagePack, as flax itself and EasyLM's checkpointer write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import msgpack
import numpy as np
import pytest
from flax import serialization

import ggmlkit as gk
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.foreign.flax import open_flax

TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int32": "i32", "int8": "i8"}


def tree() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays = {
        name: np.asarray(jnp.asarray(rng.standard_normal((5, 7)) * 9).astype(name))
        for name in TYPES
    }
    return {"params": {**arrays, "deep": {"0": {"kernel": np.arange(6.0).reshape(2, 3)}}}}


def check(path: Path, prefix: str = "") -> None:
    found = gk.open(path)
    assert found.container == "flax"
    wanted = tree()["params"]
    for name, type in TYPES.items():
        tensor = found[f"{prefix}params/{name}"]
        assert tensor.type.name == type
        assert tensor.shape == (5, 7)
        assert tensor.data.tobytes() == wanted[name].tobytes()
    assert found[f"{prefix}params/deep/0/kernel"].numpy().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_tree_as_flax_saves_it(tmp_path: Path) -> None:
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(serialization.to_bytes(tree()))
    check(path)
    assert len(open_flax(path)) == 6


def test_a_stream_as_easylm_saves_it(tmp_path: Path) -> None:
    path = tmp_path / "streaming_params"
    packer = msgpack.Packer()
    arrays = tree()["params"]
    deep = arrays.pop("deep")
    arrays["deep/0/kernel"] = deep["0"]["kernel"]
    with path.open("wb") as file:
        for name, array in arrays.items():
            keys = ("params", "params", *name.split("/"))
            file.write(packer.pack((keys, serialization.to_bytes(array))))
    check(path, "params/")


def test_arrays_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 16)
    path = tmp_path / "a.msgpack"
    path.write_bytes(serialization.to_bytes(tree()))
    assert path.read_bytes().count(b"__msgpack_chunked_array__") == 6
    check(path)
    with path.open("wb") as file:
        array = np.arange(12, dtype=np.float32).reshape(3, 4)
        file.write(msgpack.packb((("w",), serialization.to_bytes(array))))
    assert np.array_equal(open_flax(path)["w"].numpy(), np.arange(12).reshape(3, 4))


def test_scalars_and_values_that_are_not_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.msgpack"
    values = {"w": np.float32(2.5), "n": 3, "t": "x", "none": None, "c": 1j, "l": [1], "d": {}}
    path.write_bytes(serialization.msgpack_serialize(values))
    found = open_flax(path)
    assert found.names == ["w"]
    assert found["w"].shape == ()
    assert found["w"].dequantize() == 2.5


def test_types_without_a_counterpart_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.msgpack"
    path.write_bytes(serialization.to_bytes({"w": np.ones(2, np.uint8)}))
    with pytest.raises(UnsupportedTypeError, match=r"'w'.*uint8"):
        open_flax(path)


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.msgpack"
    raw = serialization.to_bytes({"w": np.ones((2, 3), np.float32), "v": np.ones(2, np.float16)})
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(FormatError, match=str(path)):
            open_flax(path)


def test_the_data_is_read_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "a.msgpack"
    path.write_bytes(serialization.to_bytes({"w": np.ones(4, np.float32)}))
    tensor = open_flax(path)["w"]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(FormatError, match="cut short"):
        _ = tensor.data


def packed(shape: Any, dtype: Any, data: Any) -> bytes:
    array = msgpack.ExtType(1, msgpack.packb((shape, dtype, data)))
    return bytes(msgpack.packb({"w": array}))


CHUNKS = {"__msgpack_chunked_array__": True}
PIECE = msgpack.ExtType(1, msgpack.packb(((2,), "float32", bytes(8))))


@pytest.mark.parametrize(
    "raw",
    [
        packed([4], "float32", bytes(12)),
        packed([-4], "float32", bytes(16)),
        packed([1 << 62, 1 << 62], "float32", bytes(16)),
        packed([1] * 9, "float32", bytes(4)),
        packed(["4"], "float32", bytes(16)),
        packed(4, "float32", bytes(16)),
        packed([4], "float32", "text of 16 bytes"),
        packed([4], 7, bytes(16)),
        bytes(msgpack.packb({"w": msgpack.ExtType(1, b"")})),
        bytes(msgpack.packb({"w": msgpack.ExtType(1, b"\x93")})),
        bytes(msgpack.packb({"w": {**CHUNKS, "shape": {"0": 3}, "chunks": {"0": PIECE}}})),
        bytes(msgpack.packb({"w": {**CHUNKS, "shape": {"0": 2}, "chunks": {"1": PIECE}}})),
        bytes(msgpack.packb({"w": {**CHUNKS, "shape": {"0": 2}, "chunks": {"0": 5}}})),
        bytes(msgpack.packb({"w": CHUNKS})),
        bytes(msgpack.packb({"a": 1})) + b"\x01",
        bytes(msgpack.packb({"a": 1})),
        b"\x82\xa1a\x01\xa1a\x01",
        b"\x81\xa1\xff\x01",
        b"\x92\x91\xa1a\xc1",
        b"\x92\x91\xa1a\x01",
        b"\x92\x91\xa1a\xc4\x00",
    ],
)
def test_damaged_files(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.msgpack"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=str(path)):
        open_flax(path)
