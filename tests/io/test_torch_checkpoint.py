"""PyTorch checkpoints: read without torch, equal to what torch reads, never executed."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from ggmlkit.errors import FormatError
from ggmlkit.io.torch_checkpoint import open_torch
from ggmlkit.io.torch_writer import write_torch
from ggmlkit.tensor import Tensor

torch = pytest.importorskip("torch")


def bits(tensor: object) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()  # type: ignore[attr-defined]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "model.pth"


def test_every_float_type_has_the_bytes_torch_saved(checkpoint: Path) -> None:
    state = OrderedDict(
        (str(dtype), torch.randn(5, 7).to(dtype))
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    )
    torch.save(state, checkpoint)
    file = open_torch(checkpoint)
    assert file.names == list(state)
    assert [t.type.name for t in file.tensors.values()] == ["f64", "f32", "f16", "bf16"]
    for name, value in state.items():
        assert file[name].shape == (5, 7)
        assert file[name].data.tobytes() == bits(value)


def test_transposed_sliced_and_shared_tensors(checkpoint: Path) -> None:
    base = torch.arange(60, dtype=torch.float32).reshape(6, 10)
    state = {"t": base.T, "rows": base[2:4], "columns": base[:, 3:5], "one": base[1, 1]}
    torch.save(state, checkpoint)
    file = open_torch(checkpoint)
    for name, value in state.items():
        assert np.array_equal(file[name].numpy(), value.numpy())


def test_a_module_s_state_dict_and_parameters(checkpoint: Path) -> None:
    module = torch.nn.Linear(3, 2)
    torch.save(module.state_dict(), checkpoint)
    assert open_torch(checkpoint).names == ["weight", "bias"]
    torch.save({"p": module.weight}, checkpoint)
    assert np.array_equal(open_torch(checkpoint)["p"].numpy(), module.weight.detach().numpy())


def test_what_we_write_torch_reads_mapped_or_not(checkpoint: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensors = {
        "a": Tensor("f32", (3, 4), values.reshape(-1).view(np.uint8)),
        "b": Tensor("f16", (12,), values.astype(np.float16).reshape(-1).view(np.uint8)),
    }
    with checkpoint.open("w+b") as file:
        write_torch(file, tensors)
    for mapped in (False, True):
        loaded = torch.load(checkpoint, weights_only=True, mmap=mapped)
        assert list(loaded) == ["a", "b"]
        assert np.array_equal(loaded["a"].numpy(), values)
        assert loaded["b"].dtype == torch.float16
        assert loaded["a"].data_ptr() % 64 == 0 or not mapped
    assert np.array_equal(open_torch(checkpoint)["a"].numpy(), values)


def with_pickle(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", bytes(64))
    return path


class Runs:
    """Pickles as a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> object:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_pickle_that_runs_code_is_refused(
    tmp_path: Path, checkpoint: Path, protocol: int
) -> None:
    mark = tmp_path / "it-ran"
    data = pickle.dumps({"w": Runs(f"touch {mark}")}, protocol)
    with pytest.raises(FormatError, match="unsafe or damaged pickle"):
        open_torch(with_pickle(checkpoint, data))
    assert not mark.exists()


def test_an_old_style_pickle_that_runs_code_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    mark = tmp_path / "it-ran"
    checkpoint.write_bytes(pickle.dumps({"w": Runs(f"touch {mark}")}, 2))
    with pytest.raises(FormatError):
        open_torch(checkpoint)
    assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02}",
        b"\x80\x02]r\xff\xff\xff\x7f.",  # memo index of two thousand million
        b"\x80\x02X\xff\xff\xff\x7fa.",  # text longer than the file
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02ccollections\nOrderedDict.__init__\n.",
    ],
)
def test_damaged_pickles(checkpoint: Path, data: bytes) -> None:
    with pytest.raises(FormatError):
        open_torch(with_pickle(checkpoint, data))


def test_a_tensor_that_leaves_its_storage(checkpoint: Path) -> None:
    torch.save({"w": torch.zeros(4, 4)}, checkpoint)
    raw = checkpoint.read_bytes()
    # BININT1 4 BININT1 4 TUPLE2: shape and stride come one after the other; enlarge the shape.
    assert raw.count(b"K\x04K\x04\x86") == 1
    checkpoint.write_bytes(raw.replace(b"K\x04K\x04\x86", b"K\x08K\x04\x86"))
    with pytest.raises(FormatError, match="leaves its storage"):
        open_torch(checkpoint)


def test_truncation_at_any_place_is_a_format_error(checkpoint: Path) -> None:
    torch.save({"w": torch.ones(8)}, checkpoint)
    raw = checkpoint.read_bytes()
    for length in range(0, len(raw), 7):
        checkpoint.write_bytes(raw[:length])
        with pytest.raises(FormatError):
            open_torch(checkpoint)
