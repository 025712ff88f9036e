"""TensorFlow's and Keras's files: those in tests/data were saved by TensorFlow 2.21, Keras 3.15.

The checkpoint is ``tf.train.Checkpoint(model=module).write`` of a module with the variables
``float32``, ``float16``, ``bfloat16`` and ``int64``, each the numbers 0 to 11 as 3 × 4, ``scalar``
2.5, ``text`` and ``flag``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from command import ggmlkit
from ggmlkit.errors import FormatError
from ggmlkit.io.foreign.tensorflow import open_tensorflow
from paths import DATA

DATA = DATA / "tensorflow"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for path in DATA.glob("checkpoint.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "checkpoint.index"


def test_variables_of_a_checkpoint() -> None:
    found = gk.open(DATA / "checkpoint.index")
    assert found.container == "tensorflow"
    types = {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "int64": "i64"}
    assert found.names == [f"model/{n}{SUFFIX}" for n in (*types, "scalar")]
    for name, type in types.items():
        tensor = found[f"model/{name}{SUFFIX}"]
        assert tensor.type.name == type
        assert np.array_equal(tensor.dequantize(), np.arange(12).reshape(3, 4))
    scalar = found[f"model/scalar{SUFFIX}"]
    assert scalar.shape == ()
    assert scalar.dequantize() == 2.5
    assert [path.name for path in found.paths] == [
        "checkpoint.index",
        "checkpoint.data-00000-of-00001",
    ]


def test_commands_show_it(copied: Path) -> None:
    assert f"model/float16{SUFFIX}" in ggmlkit("inspect", copied).stdout
    assert "nothing is wrong" in ggmlkit("verify", copied).stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("saved_model.pb", r"SavedModel.*variables/variables\.index"),
        ("checkpoint.data-00000-of-00001", r"give its index, checkpoint\.index"),
        ("model.keras", r"Keras model.*give model\.weights\.h5"),
    ],
)
def test_refused_files_name_the_way_out(name: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        gk.open(DATA / name)


def test_a_keras_h5_shows_its_arrays() -> None:
    layer = "model_weights/dense/sequential/dense"
    found = gk.open(DATA / "model.h5")
    assert {name: found[name].shape for name in found} == {
        f"{layer}/bias": (4,),
        f"{layer}/kernel": (3, 4),
    }


def test_every_truncation_of_the_index(copied: Path) -> None:
    raw = copied.read_bytes()
    for length in range(4, len(raw)):
        copied.write_bytes(raw[:length])
        with pytest.raises(FormatError, match=str(copied)):
            open_tensorflow(copied)


def test_data_that_is_missing_or_short(copied: Path) -> None:
    data = copied.with_name("checkpoint.data-00000-of-00001")
    whole = data.read_bytes()
    tensor = open_tensorflow(copied)[f"model/scalar{SUFFIX}"]
    data.write_bytes(whole[:100])
    with pytest.raises(FormatError, match="cut short"):
        _ = tensor.data
    with pytest.raises(FormatError, match="is not in checkpoint"):
        open_tensorflow(copied)
    data.unlink()
    with pytest.raises(FormatError, match=r"checkpoint\.data-00000-of-00001 is missing"):
        open_tensorflow(copied)


def test_fields_at_their_extremes(copied: Path) -> None:
    """Each byte of the table at 0xff: an offset, a size, a number of the data file, …"""
    raw = copied.read_bytes()
    for place in range(len(raw)):
        copied.write_bytes(raw[:place] + b"\xff" + raw[place + 1 :])
        try:
            file = open_tensorflow(copied)
        except FormatError:
            continue
        assert all(tensor.data.size == tensor.nbytes for tensor in file.values())


def test_a_compressed_table_is_refused(copied: Path) -> None:
    raw = bytearray(copied.read_bytes())
    place = raw.index(b"\x30\xdc\x7e\x3c") - 1
    raw[place] = 1
    copied.write_bytes(raw)
    with pytest.raises(FormatError, match="compressed"):
        open_tensorflow(copied)
