"""ONNX models: initialisers are the same as with the onnx package, wherever values are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ggmlkit as gk
from ggmlkit.errors import FormatError
from ggmlkit.io.foreign.onnx import open_onnx

TYPES = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "i64": np.int64,
    "i32": np.int32,
    "i16": np.int16,
    "i8": np.int8,
}


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found = {n: (rng.standard_normal((3, 4)) * 9).astype(dtype) for n, dtype in TYPES.items()}
    return {**found, "scalar": np.array(2.5, np.float32), "empty": np.zeros((0, 3), np.float32)}


def model(initialisers: list[Any], nodes: list[Any] | None = None) -> Any:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    found = nodes or [helper.make_node("Identity", ["x"], ["y"])]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph(found, "graph", [value], [out], initializer=initialisers)
    return helper.make_model(graph, producer_name="tests")


def check(path: Path) -> None:
    found = gk.open(path)
    assert (found.container, found.version) == ("onnx", onnx.load(path).ir_version)
    wanted = arrays()
    assert set(found.names) == set(wanted)
    for name, array in wanted.items():
        assert found[name].type.name == (name if name in TYPES else "f32")
        assert found[name].shape == array.shape
        assert found[name].data.tobytes() == array.tobytes(), name


def test_values_in_the_file(tmp_path: Path) -> None:
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays().items()]
    onnx.save(model(tensors), tmp_path / "m.onnx")
    check(tmp_path / "m.onnx")


def test_values_as_lists(tmp_path: Path) -> None:
    tensors = [
        helper.make_tensor(
            name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape, a.reshape(-1).tolist()
        )
        for name, a in arrays().items()
        if name != "empty"
    ]
    tensors.append(helper.make_tensor("empty", TensorProto.FLOAT, [0, 3], []))
    onnx.save(model(tensors), tmp_path / "m.onnx")
    check(tmp_path / "m.onnx")


def test_values_in_a_file_beside_it(tmp_path: Path) -> None:
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays().items()]
    onnx.save(
        model(tensors),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="m.onnx.data",
        size_threshold=0,
    )
    assert (tmp_path / "m.onnx.data").stat().st_size > 300
    check(tmp_path / "m.onnx")


def test_bfloat16(tmp_path: Path) -> None:
    values = [1.0, -2.0, 0.5]
    listed = helper.make_tensor("a", TensorProto.BFLOAT16, [3], values)
    raw = helper.make_tensor("b", TensorProto.BFLOAT16, [3], b"\x80\x3f\x00\xc0\x00\x3f", raw=True)
    onnx.save(model([listed, raw]), tmp_path / "m.onnx")
    found = open_onnx(tmp_path / "m.onnx")
    for name in ("a", "b"):
        assert found[name].type.name == "bf16"
        assert found[name].dequantize().tolist() == values


def test_initialisers_that_are_not_weights_are_left_out(tmp_path: Path) -> None:
    tensors = [
        numpy_helper.from_array(np.array([True, False]), "mask"),
        numpy_helper.from_array(np.ones(2, np.uint8), "bytes"),
        numpy_helper.from_array(np.ones(2, np.float32), "w"),
    ]
    onnx.save(model(tensors), tmp_path / "m.onnx")
    assert open_onnx(tmp_path / "m.onnx").names == ["w"]


def test_nodes_that_use_initialisers(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="/a/MatMul")
    property = node.metadata_props.add()
    property.key, property.value = "pkg.torch.onnx.name_scopes", "['', 'a', 'linear']"
    onnx.save(
        model([numpy_helper.from_array(np.ones((1, 1), np.float32), "w")], [node]),
        tmp_path / "m.onnx",
    )
    (found,) = open_onnx(tmp_path / "m.onnx").nodes
    assert found == ("MatMul", "/a/MatMul", ("x", "w"), ("y",), "['', 'a', 'linear']")


def external(**entries: str) -> Any:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../secret"},
        {"location": "/etc/passwd"},
        {"location": "sub/data"},
        {"location": "..\\data"},
        {"location": "."},
        {"location": ""},
        {},
        {"location": "absent"},
        {"location": "data", "offset": "4"},
        {"location": "data", "offset": "-4"},
        {"location": "data", "offset": "1e3"},
        {"location": "data", "offset": "9" * 500},
        {"location": "data", "length": "4"},
        {"location": "data", "length": "99"},
    ],
)
def test_external_data_elsewhere_is_refused(tmp_path: Path, entries: dict[str, str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (folder / "data").write_bytes(bytes(8))
    path = folder / "m.onnx"
    path.write_bytes(model([external(**entries)]).SerializeToString())
    with pytest.raises(FormatError, match=str(path)):
        open_onnx(path)


def test_a_data_file_cut_short_while_open(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(8))
    path = tmp_path / "m.onnx"
    path.write_bytes(model([external(location="data")]).SerializeToString())
    tensor = open_onnx(path)["w"]
    (tmp_path / "data").write_bytes(bytes(4))
    with pytest.raises(FormatError, match="cut short"):
        _ = tensor.data


def raw_tensor(**fields: Any) -> Any:
    return TensorProto(**{"name": "w", "data_type": TensorProto.FLOAT, "dims": [2], **fields})


@pytest.mark.parametrize(
    "tensor",
    [
        raw_tensor(raw_data=bytes(4)),
        raw_tensor(raw_data=bytes(12)),
        raw_tensor(),
        raw_tensor(dims=[-2], raw_data=bytes(8)),
        raw_tensor(dims=[1 << 62, 4], raw_data=bytes(8)),
        raw_tensor(dims=[1] * 9, raw_data=bytes(4)),
        raw_tensor(name="", raw_data=bytes(8)),
        raw_tensor(float_data=[1.0]),
        raw_tensor(int64_data=[1, 2, 3]),
        raw_tensor(float_data=[1.0], int32_data=[2]),
    ],
)
def test_initialisers_that_do_not_fit(tmp_path: Path, tensor: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model([tensor]).SerializeToString())
    with pytest.raises(FormatError, match=str(path)):
        open_onnx(path)


def test_two_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model([raw_tensor(raw_data=bytes(8))] * 2).SerializeToString())
    with pytest.raises(FormatError, match="no name of its own"):
        open_onnx(path)


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    raw = model([raw_tensor(raw_data=bytes(8))]).SerializeToString()
    graph = raw.index(b"\x3a")  # field 7
    end = graph + 2 + raw[graph + 1]
    for length in range(graph + 1, len(raw)):
        path.write_bytes(raw[:length])
        if length < end:
            with pytest.raises(FormatError, match=str(path)):
                open_onnx(path)
    # After the graph come the versions of its operators, which don't affect the values.
    path.write_bytes(raw[:end])
    assert open_onnx(path).names == ["w"]
