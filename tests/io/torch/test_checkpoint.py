"""PyTorch checkpoints: read without torch, with the same values as torch, never executed."""

from __future__ import annotations

import json
import os
import pickle
import re
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import torch
from ggmlkit import io
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.torch.checkpoint import open_torch
from ggmlkit.io.torch.writer import write_torch
from ggmlkit.tensor import Tensor


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
    """Is pickled as a call of os.system."""

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


def test_a_tensor_that_reaches_outside_its_storage(checkpoint: Path) -> None:
    torch.save({"w": torch.zeros(4, 4)}, checkpoint)
    raw = checkpoint.read_bytes()
    # BININT1 4 BININT1 4 TUPLE2: shape and stride come one after the other; enlarge the shape.
    assert raw.count(b"K\x04K\x04\x86") == 1
    checkpoint.write_bytes(raw.replace(b"K\x04K\x04\x86", b"K\x08K\x04\x86"))
    with pytest.raises(FormatError, match="reaches outside its storage"):
        open_torch(checkpoint)


def test_truncation_at_any_place_is_a_format_error(checkpoint: Path) -> None:
    torch.save({"w": torch.ones(8)}, checkpoint)
    raw = checkpoint.read_bytes()
    for length in range(0, len(raw), 7):
        checkpoint.write_bytes(raw[:length])
        with pytest.raises(FormatError):
            open_torch(checkpoint)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("holder", ["state_dict", "model_state_dict", "model", "module"])
def test_weights_are_found_in_checkpoints_of_a_training_run(
    checkpoint: Path, holder: str, old: bool
) -> None:
    weights = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(weights.parameters())
    weights(torch.ones(3)).sum().backward()
    optimizer.step()
    saved = {
        "epoch": 3,
        "optimizer_states": [optimizer.state_dict()],
        "rng": torch.get_rng_state(),
        "best": torch.tensor(0.5),
        holder: weights.state_dict(),
        "hyper_parameters": {"dim": 3, "lr": 1e-3, "name": "x", "sizes": (1, 2), "m": {"n": None}},
    }
    torch.save(saved, checkpoint, _use_new_zipfile_serialization=not old)
    file = open_torch(checkpoint)
    assert file.names == ["weight", "bias"]
    assert np.array_equal(file["weight"].numpy(), weights.weight.detach().numpy())
    settings = {"dim": 3, "lr": 1e-3, "name": "x", "sizes": [1, 2], "m": {"n": None}}
    assert file.settings == {"hyper_parameters": settings}
    assert json.loads(file.notes["hyper_parameters"]) == settings


def test_a_dictionary_inside_the_dictionary(checkpoint: Path) -> None:
    torch.save({"model": {"state_dict": {"w": torch.ones(2)}}, "x": torch.ones(1)}, checkpoint)
    assert open_torch(checkpoint).names == ["w"]
    torch.save({"model": {"name": "llama"}, "w": torch.ones(2)}, checkpoint)
    assert open_torch(checkpoint).names == ["w"]


def test_files_older_than_the_archives(checkpoint: Path) -> None:
    base = torch.arange(60, dtype=torch.float32).reshape(6, 10)
    state = {
        "t": base.T,
        "rows": base[2:4],
        "half": torch.randn(5, 7).half(),
        "b": torch.randn(3).to(torch.bfloat16),
        "long": torch.arange(4),
        "empty": torch.zeros(0, 4),
    }
    torch.save(state, checkpoint, _use_new_zipfile_serialization=False)
    file = open_torch(checkpoint)
    assert file.names == list(state)
    for name, value in state.items():
        assert file[name].shape == tuple(value.shape)
        assert file[name].data.tobytes() == bits(value), name
    raw = checkpoint.read_bytes()
    for length in range(0, len(raw), 7):
        checkpoint.write_bytes(raw[:length])
        with pytest.raises(FormatError):
            open_torch(checkpoint)


def test_an_old_file_s_faults_are_reported(checkpoint: Path) -> None:
    torch.save({"w": torch.zeros(4, 4)}, checkpoint, _use_new_zipfile_serialization=False)
    raw = checkpoint.read_bytes()
    count = raw.rindex((16).to_bytes(8, "little"))
    huge = (1 << 62).to_bytes(8, "little")
    for change, reason in (
        (raw.replace(b"M\xe9\x03", b"M\xea\x03"), "unknown version"),
        (re.sub(rb"(little_endianq.)\x88", b"\\1\x89", raw), "big-endian"),
        (raw.replace(b"K\x04K\x04\x86", b"K\x08K\x04\x86"), "reaches outside its storage"),
        (raw[:count] + huge + raw[count + 8 :], "reaches beyond the file"),
    ):
        assert change != raw
        checkpoint.write_bytes(change)
        with pytest.raises(FormatError, match=reason):
            open_torch(checkpoint)


def test_weights_of_a_type_without_a_counterpart_are_named(checkpoint: Path) -> None:
    torch.save({"mask": torch.ones(4, dtype=torch.bool)}, checkpoint)
    with pytest.raises(UnsupportedTypeError, match=r"mask.*BoolStorage"):
        open_torch(checkpoint)


def test_other_archives_are_recognized(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    np.save(tmp_path / "a.npy", np.ones(3))
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, b"x")
    for name, reason in (
        ("a.npz", "numpy"),
        ("a.npy", "numpy"),
        ("a.keras", r"give model\.weights\.h5"),
    ):
        with pytest.raises(FormatError, match=reason):
            io.open(tmp_path / name)


def test_a_tar_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "storages").write_bytes(b"x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "storages", "storages")
    with pytest.raises(FormatError, match=r"PyTorch before 0\.2"):
        io.open(tmp_path / "a.tar")
