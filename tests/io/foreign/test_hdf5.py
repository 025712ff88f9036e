"""HDF5 files, as h5py writes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.foreign.hdf5 import open_hdf5

TYPES = {"f8": "f64", "f4": "f32", "f2": "f16", "i8": "i64", "i4": "i32", "i2": "i16", "i1": "i8"}


def test_arrays_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    rng = np.random.default_rng(0)
    arrays = {
        f"layers/dense_{n}/vars/{code}": (rng.standard_normal((3, 4)) * 9).astype(code)
        for n, code in enumerate(TYPES)
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        file["text"] = "no weight"
        file.attrs["keras_version"] = "3"
    found = gk.open(path)
    assert found.container == "hdf5"
    assert set(found.names) == set(arrays)
    for name, array in arrays.items():
        assert found[name].type.name == TYPES[name.rpartition("/")[2]]
        assert np.array_equal(found[name].numpy(), array)


@pytest.mark.parametrize("settings", [{"compression": "gzip"}, {"chunks": (2, 2)}])
def test_arrays_that_lie_in_pieces_are_refused(tmp_path: Path, settings: object) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("w", data=np.zeros((64, 64), np.float32), **settings)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedTypeError, match="'w' is compressed, in pieces"):
        open_hdf5(tmp_path / "a.h5")


def test_other_files_are_not_opened(tmp_path: Path) -> None:
    """Links, values and views that lead to another file, or to themselves."""
    (tmp_path / "secret").write_bytes(bytes(64))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(4, np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.ones(4, np.float32)
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
        file["soft"] = h5py.SoftLink("/nowhere")
        file["group/circle"] = file["/"]
    assert open_hdf5(tmp_path / "a.h5").names == ["w"]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset(
            "w", (4,), np.float32, external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        )
    with h5py.File(tmp_path / "c.h5", "w") as file:
        layout = h5py.VirtualLayout((4,), np.float32)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (4,))
        file.create_virtual_dataset("w", layout)
    for name in ("b.h5", "c.h5"):
        with pytest.raises(UnsupportedTypeError, match="in another file"):
            open_hdf5(tmp_path / name)


def test_truncation(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["w"] = np.ones((4, 4), np.float32)
    raw = path.read_bytes()
    for length in range(8, len(raw), 37):
        path.write_bytes(raw[:length])
        with pytest.raises(FormatError, match=str(path)):
            open_hdf5(path)


def test_names_that_are_not_text_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["wwww"] = np.ones(4, np.float32)
    raw = path.read_bytes()
    assert raw.count(b"wwww") == 1
    path.write_bytes(raw.replace(b"wwww", b"ww\xffw"))
    with pytest.raises(FormatError, match="not UTF-8"):
        open_hdf5(path)


def test_without_h5py_the_extra_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    code = "import sys; sys.modules['h5py'] = None; import ggmlkit as gk; gk.open(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "reading it needs ggmlkit[hdf5]" in done.stderr
