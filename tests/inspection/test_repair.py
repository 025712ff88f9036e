"""Files cut anywhere after their header: whole tensors are saved, the others are named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.inspection.repair import repair_file
from ggmlkit.io.gguf.split import split_file
from paths import GOLDEN

STEMS = [
    "gguf-v1-q4_0",
    "gguf-v1-f16",
    "gguf-v3-be-f16",
    "ggjt-v3-q5_1",
    "ggjt-v1-q4_2",
    "ggmf-v1-q4_1",
    "ggml-f16",
]


def data_start(path: Path) -> int:
    """Where the first tensor's data lies."""
    with io.open(path) as file:
        if ranges := file.ranges():
            return min(ranges)[0]
        first = next(iter(file.values())).data
        return path.read_bytes().index(first.tobytes())


@pytest.mark.parametrize("stem", STEMS)
def test_whole_tensors_are_saved_and_others_named(tmp_path: Path, stem: str) -> None:
    path = GOLDEN / f"{stem}.bin"
    raw = path.read_bytes()
    cut, out = tmp_path / "cut", tmp_path / "out"
    with io.open(path) as whole:
        names = whole.names
        first = next(iter(whole.values())).nbytes
        counts = set()
        for length in np.linspace(data_start(path) + first, len(raw) - 1, 25).astype(int):
            cut.write_bytes(raw[:length])
            found = repair_file(cut, out)
            assert sorted([*found.saved, *(t.name for t in found.lost if t.name)]) == sorted(names)
            assert found.lost
            counts.add(len(found.saved))
            with io.open(out) as file:
                assert (file.container, file.version) == (whole.container, whole.version)
                assert file.byte_order == whole.byte_order
                assert file.names == found.saved == names[: len(found.saved)]
                assert set(file.metadata) == set(whole.metadata)
                for name, tensor in file.items():
                    assert tensor.type == whole[name].type
                    assert np.array_equal(tensor.data, whole[name].data)
        assert len(counts) > 10


@pytest.mark.parametrize("stem", STEMS)
def test_a_file_with_nothing_lost_says_so(tmp_path: Path, stem: str) -> None:
    path = GOLDEN / f"{stem}.bin"
    found = repair_file(path, tmp_path / "out")
    assert found.lost == []
    with io.open(path) as file:
        assert found.saved == file.names
    if "-q4_0" not in stem:  # these lose the zero bytes that ended their strings
        assert (tmp_path / "out").read_bytes() == path.read_bytes()


def test_lost_tensors_have_their_reasons(tmp_path: Path) -> None:
    raw = (GOLDEN / "gguf-v1-f16.bin").read_bytes()
    (tmp_path / "cut").write_bytes(raw[:-10])
    (lost,) = repair_file(tmp_path / "cut", tmp_path / "out").lost
    assert lost.reason == "only 246 of its 256 bytes are in the file"
    (tmp_path / "cut").write_bytes(raw[:100_000])
    reasons = {tensor.reason for tensor in repair_file(tmp_path / "cut", tmp_path / "out").lost}
    assert "it starts at byte 106688, after the end of the file" in reasons
    raw = (GOLDEN / "ggjt-v3-f16.bin").read_bytes()
    (tmp_path / "cut").write_bytes(raw[: len(raw) // 2])
    lost, *others = repair_file(tmp_path / "cut", tmp_path / "out").lost
    assert lost.reason.startswith("only ")
    assert {tensor.reason for tensor in others} == {"the file ends before it"}


def test_a_part_of_a_model_becomes_a_file_of_its_own(tmp_path: Path) -> None:
    parts = split_file(GOLDEN / "gguf-v1-f16.bin", tmp_path / "m", max_tensors=8)
    parts[1].write_bytes(parts[1].read_bytes()[:-100])
    found = repair_file(parts[1], tmp_path / "out.gguf")
    assert len(found.lost) == 1
    with io.open(tmp_path / "out.gguf") as file:
        assert file.names == found.saved
        assert file.metadata == {}


def test_files_that_cannot_be_repaired_are_refused(tmp_path: Path) -> None:
    raw = (GOLDEN / "gguf-v1-f16.bin").read_bytes()
    cut, out = tmp_path / "cut", tmp_path / "out"
    cut.write_bytes(raw[:5000])
    with pytest.raises(gk.FormatError):
        repair_file(cut, out)
    cut.write_bytes(raw[:9100])
    with pytest.raises(gk.GgmlkitError, match="no tensor is whole"):
        repair_file(cut, out)
    cut.write_bytes(b"tjgg" + struct.pack("<I", 9))
    with pytest.raises(gk.FormatError, match="version 9"):
        repair_file(cut, out)
    with pytest.raises(gk.ConversionError, match="neither gguf nor ggjt"):
        repair_file(GOLDEN / "lora-ggla.bin", out)
    assert not out.exists()


def test_a_hostile_number_of_layers_makes_no_long_list(tmp_path: Path) -> None:
    raw = bytearray((GOLDEN / "ggjt-v3-f16.bin").read_bytes()[:-10])
    raw[8 + 4 * 4 : 8 + 5 * 4] = struct.pack("<i", 2**31 - 1)
    (tmp_path / "cut").write_bytes(raw)
    assert len(repair_file(tmp_path / "cut", tmp_path / "out").lost) < 10_000
