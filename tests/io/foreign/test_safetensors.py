"""safetensors files: the same bytes as the format's own library; damaged ones are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch as reference

import torch
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.foreign.safetensors import open_safetensors, safetensors_header


def test_types_shapes_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    state = {
        "a": torch.randn(3, 4),
        "b": torch.randn(5).to(torch.bfloat16),
        "c": torch.randn(2, 2).half(),
        "d": torch.arange(6),
        "empty": torch.zeros(0, 4),
    }
    reference.save_file(state, path, metadata={"format": "pt"})
    file = open_safetensors(path)
    assert sorted(file.names) == sorted(state)
    assert file.notes == {"format": "pt"}
    for name, value in state.items():
        assert file[name].shape == tuple(value.shape)
        assert file[name].data.tobytes() == value.flatten().view(torch.uint8).numpy().tobytes()


def test_our_header_is_read_by_the_format_s_library(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    header = safetensors_header([("x", "f32", (2, 3)), ("y", "bf16", (2,))], {"format": "pt"})
    path.write_bytes(header + values.tobytes() + b"\x80\x3f\x00\x40")
    loaded = reference.load_file(path)
    assert np.array_equal(loaded["x"].numpy(), values)
    assert loaded["y"].tolist() == [1.0, 2.0]


def file_with(tmp_path: Path, header: object, data: bytes = bytes(16)) -> Path:
    path = tmp_path / "m.safetensors"
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(**changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **changes}


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b"\xff\xff",
        b'{"a":1,"a":2}',
        b"[" * 100_000,
        {"w": 3},
        {"w": entry(dtype=7)},
        {"w": entry(shape=[-4])},
        {"w": entry(shape=[4.0])},
        {"w": entry(shape=[True, 4])},
        {"w": entry(shape=[1 << 62, 1 << 62])},
        {"w": entry(shape=[3])},
        {"w": entry(data_offsets=[0, 1 << 70])},
        {"w": entry(data_offsets=[16, 0])},
        {"w": entry(data_offsets=[0])},
        {"w": entry(), "v": entry()},
        {"w": entry(shape=[2], data_offsets=[0, 8])},
        {"w": entry(shape=[2], data_offsets=[8, 16])},
    ],
)
def test_damaged_headers(tmp_path: Path, header: object) -> None:
    with pytest.raises(FormatError):
        open_safetensors(file_with(tmp_path, header))


def test_an_element_type_without_a_ggml_counterpart_is_named(tmp_path: Path) -> None:
    path = file_with(tmp_path, {"w": entry(dtype="F8_E4M3", shape=[16])})
    with pytest.raises(UnsupportedTypeError, match="F8_E4M3"):
        open_safetensors(path)


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    path = file_with(tmp_path, {"w": entry()})
    raw = path.read_bytes()
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(FormatError):
            open_safetensors(path)


def test_a_file_cut_short_while_open(tmp_path: Path) -> None:
    path = file_with(tmp_path, {"w": entry()})
    tensor = open_safetensors(path)["w"]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(FormatError, match="cut short"):
        _ = tensor.data
