"""Small checkpoints of more kinds: old PyTorch files, GPTQ, Flax, ONNX, TensorFlow, HDF5."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

import checkpoints
import seeds
from ggmlkit.io.foreign.safetensors import safetensors_header
from ggmlkit.io.torch.pickle import STORAGE_OF, dense_stride
from ggmlkit.tensor import Tensor


def _two() -> dict[str, Any]:
    """Two arrays by the names of a LLaMA's parameters."""
    rng = np.random.default_rng(0)
    names = ("model.embed_tokens.weight", "model.norm.weight")
    return {n: rng.standard_normal((2, 3)).astype(np.float32) for n in names}


def old_torch(path: Path) -> None:
    """A checkpoint of a training run, older than PyTorch's zip archives."""
    tensors = {
        name: Tensor("f32", array.shape, array.reshape(-1).view(np.uint8), name)
        for name, array in _two().items()
    }
    state = [b"\x80\x02}(" + _text("epoch") + b"K\x03" + _text("state_dict") + b"}("]
    for key, (name, tensor) in enumerate(tensors.items()):
        storage = f"ctorch\n{STORAGE_OF[tensor.type.name]}\n".encode()
        state += [
            _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + _text("storage") + storage,
            _text(str(key)) + _text("cpu") + _number(tensor.size) + b"NtQ" + _number(0),
            b"(" + b"".join(map(_number, tensor.shape)) + b"t",
            b"(" + b"".join(map(_number, dense_stride(tensor.shape))) + b"t",
            b"\x89ccollections\nOrderedDict\n)RtR",
        ]
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "type_sizes": {"int": 4}}]
    parts = [pickle.dumps(value, 2) for value in header]
    parts += [b"".join([*state, b"uu."]), pickle.dumps(["0", "1"], 2)]
    parts += [t.size.to_bytes(8, "little") + t.data.tobytes() for t in tensors.values()]
    path.write_bytes(b"".join(parts))


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def _number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little")


def _packed(array: Any) -> Any:
    import msgpack

    return msgpack.ExtType(1, msgpack.packb((array.shape, array.dtype.name, array.tobytes())))


def flax_tree(path: Path) -> None:
    """What flax saves, with one array in pieces."""
    import msgpack

    first, second = map(_packed, _two().values())
    pieces = {"__msgpack_chunked_array__": True, "shape": {"0": 4, "1": 3}}
    pieces["chunks"] = {"0": first, "1": second}
    tree = {"params": {"a": {"kernel": first}, "b": {"scale": second}, "c": pieces}, "step": 3}
    path.write_bytes(msgpack.packb(tree))


def flax_stream(path: Path) -> None:
    """What EasyLM saves."""
    import msgpack

    pairs = ((("params", *n.split(".")), msgpack.packb(_packed(a))) for n, a in _two().items())
    path.write_bytes(b"".join(map(msgpack.packb, pairs)))


def onnx_model(folder: Path) -> None:
    """A graph with values inside, as a list, and in a file beside it."""
    from onnx import TensorProto, helper, numpy_helper

    beside = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[2], data_location=1)
    for key, value in (("location", "data"), ("offset", "4"), ("length", "8")):
        beside.external_data.add(key=key, value=value)
    (folder / "data").write_bytes(bytes(12))
    node = helper.make_node("MatMul", ["x", "a"], ["y"], name="/model/layers.0/mlp/up_proj/MatMul")
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.ones((2, 3), np.float32), "a"),
            helper.make_tensor("b", TensorProto.INT64, [3], [1, -2, 3]),
            beside,
        ],
    )
    (folder / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())


def tensorflow(folder: Path, arrays: dict[str, Any] | None = None) -> None:
    """A checkpoint of float32 variables, ``m.index`` and its data."""
    data = b""
    entries = [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    for name, array in sorted((arrays or _two()).items()):
        sizes = (b"\x08" + _varint(n) for n in array.shape)
        shape = b"".join(b"\x12" + bytes([len(size)]) + size for size in sizes)
        value = b"\x08\x01\x12" + bytes([len(shape)]) + shape + b"\x20" + _varint(len(data))
        entries.append((name.encode(), value + b"\x28" + _varint(array.nbytes)))
        data += array.tobytes()
    (folder / "m.data-00000-of-00001").write_bytes(data)
    block = _block(entries)
    place = b"\x00" + _varint(len(block) - 5)
    index = _block([(b"z", place)])
    footer = b"\x00\x00" + _varint(len(block)) + _varint(len(index) - 5)
    footer += bytes(40 - len(footer)) + bytes.fromhex("57fb808b247547db")
    (folder / "m.index").write_bytes(block + index + footer)


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block of LevelDB's table, not compressed, with space for its checksum."""
    content = b"".join(
        b"\x00" + _varint(len(key)) + _varint(len(value)) + key + value for key, value in entries
    )
    return content + bytes(4) + (1).to_bytes(4, "little") + bytes(5)


def _varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in _two().items():
            file[name.replace(".", "/")] = array


def gptq_folder(folder: Path) -> None:
    """A Hugging Face folder whose layers are quantized."""
    checkpoints.hf_folder(folder)
    settings = {"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": "gptq"}
    seeds.write_json(
        folder / "config.json", {**checkpoints.config(), "quantization_config": settings}
    )
    found: dict[str, Tensor] = {}
    for name, tensor in seeds.tensors("f16", hf=True).items():
        if "_proj" not in name:
            found[name] = tensor
            continue
        (rows, columns), layer = tensor.shape, name.removesuffix(".weight")
        for part, kind, shape in (
            ("qweight", "i32", (columns // 8, rows)),
            ("qzeros", "i32", (columns // 32, rows // 8)),
            ("scales", "f16", (columns // 32, rows)),
            ("g_idx", "i32", (columns,)),
        ):
            data = np.zeros(int(np.prod(shape)) * (2 if kind == "f16" else 4), np.uint8)
            found[f"{layer}.{part}"] = Tensor(kind, shape, data, f"{layer}.{part}")
    header = safetensors_header([(n, t.type.name, t.shape) for n, t in found.items()], {})
    data_of_all = b"".join(t.data.tobytes() for t in found.values())
    (folder / "model.safetensors").write_bytes(header + data_of_all)
