"""gguf models in several files: split, read as one, merged; faults of a part are reported."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import gguf
from ggmlkit import io
from ggmlkit.io.gguf.parts import GgufParts
from ggmlkit.io.gguf.reader import GgufFile
from ggmlkit.io.gguf.split import merge_files, split_file
from ggmlkit.tensor import Tensor
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


def save_part(path: Path, names: str, **keys: Any) -> None:
    tensors = [Tensor("i8", (3,), np.array([ord(n)] * 3, np.uint8), n) for n in names]
    io.save(path, tensors, {key.replace("_", "."): value for key, value in keys.items()})


def save_three(folder: Path, **changes: Any) -> Path:
    """Parts with tensors a, b and c; ``changes`` are keys of the second."""
    for number, name in enumerate("abc"):
        keys = {"split_no": number, "split_count": 3, "split_tensors_count": 3}
        if number == 0:
            keys["general_name"] = "whole"  # type: ignore[assignment]
        if number == 1:
            keys |= changes
        save_part(folder / f"m-{number + 1:05d}-of-00003.gguf", name, **keys)
    return folder / "m-00001-of-00003.gguf"


@pytest.mark.parametrize("source", ["gguf-v1-f16.bin", "gguf-v3-be-f16.bin"])
def test_splitting_and_merging_gives_the_same_model(tmp_path: Path, source: str) -> None:
    parts = split_file(GOLDEN / source, tmp_path / "model", max_tensors=8)
    assert [part.name for part in parts] == [f"model-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    merge_files(parts[0], tmp_path / "merged.gguf")
    with io.open(GOLDEN / source) as whole, io.open(tmp_path / "merged.gguf") as merged:
        assert isinstance(merged, GgufFile)
        assert merged.version == 3
        assert merged.byte_order == whole.byte_order
        assert list(merged.metadata) == list(whole.metadata)
        assert merged.value_types == whole.value_types
        assert merged.names == whole.names
        assert all(np.array_equal(whole[name].data, merged[name].data) for name in whole)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_any_part_opens_the_model(tmp_path: Path, number: int) -> None:
    parts = split_file(F16, tmp_path / "model", max_tensors=8)
    with io.open(parts[number]) as file, io.open(F16) as whole:
        assert isinstance(file, GgufParts)
        assert file.path == parts[number]
        assert file.names == whole.names
        assert list(file.metadata) == list(whole.metadata)
        assert not [key for key in file.stored_values() if key.startswith("split")]
        assert all(np.array_equal(whole[name].data, file[name].data) for name in whole)


def test_each_part_has_the_keys_that_other_programs_read(tmp_path: Path) -> None:
    parts = split_file(F16, tmp_path / "model", max_tensors=8)
    for number, part in enumerate(parts):
        reader = gguf.GGUFReader(part)
        for key, value, kind in (
            ("split.no", number, gguf.GGUFValueType.UINT16),
            ("split.count", 3, gguf.GGUFValueType.UINT16),
            ("split.tensors.count", 21, gguf.GGUFValueType.INT32),
        ):
            assert reader.fields[key].contents() == value
            assert reader.fields[key].types == [kind]
        assert ("general.architecture" in reader.fields) == (number == 0)


def test_parts_of_the_gguf_package_are_read(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama", split_max_tensors=2)
    values = {name: np.full((2, 32), ord(name), np.float32) for name in "abcde"}
    for name, array in values.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with io.open(tmp_path / "model-00002-of-00003.gguf") as file:
        assert file.names == list("abcde")
        assert file.metadata["general.architecture"] == "llama"
        for name, array in values.items():
            assert np.array_equal(file[name].numpy(), array)


def test_a_size_limits_the_data_of_each_part(tmp_path: Path) -> None:
    limit = 50_000
    parts = split_file(F16, tmp_path / "model", max_size=limit)
    assert len(parts) > 3
    for part, following in pairwise(parts):
        with GgufFile(part) as one, GgufFile(following) as two:
            size = sum(tensor.nbytes for tensor in one.values())
            assert size <= limit
            assert size + next(iter(two.values())).nbytes > limit


def test_a_tensor_above_the_limit_has_its_own_part(tmp_path: Path) -> None:
    parts = split_file(F16, tmp_path / "model", max_size=1)
    with io.open(F16) as whole:
        assert len(parts) == len(whole)
    with io.open(parts[5]) as file:
        assert len(file) == len(parts)


def test_a_model_in_one_part(tmp_path: Path) -> None:
    (part,) = split_file(F16, tmp_path / "model", max_tensors=100)
    assert part.name == "model-00001-of-00001.gguf"
    with io.open(part) as file:
        assert "split.count" not in file.metadata
        assert len(file) == 21


def test_a_merged_file_of_llama_cpp_is_one_file(tmp_path: Path) -> None:
    save_part(tmp_path / "m.gguf", "ab", split_no=0, split_count=0, split_tensors_count=2)
    with io.open(tmp_path / "m.gguf") as file:
        assert isinstance(file, GgufFile)
        assert file.names == ["a", "b"]


def test_split_models_can_be_split_again(tmp_path: Path) -> None:
    first = split_file(F16, tmp_path / "model", max_tensors=8)[0]
    parts = split_file(first, tmp_path / "again", max_tensors=11)
    assert len(parts) == 2
    with io.open(parts[0]) as file, io.open(F16) as whole:
        assert file.names == whole.names


def test_alignment_is_that_of_the_whole(tmp_path: Path) -> None:
    tensors = [Tensor("i8", (3,), np.zeros(3, np.uint8), name) for name in "abcd"]
    io.save(tmp_path / "a.gguf", tensors, {"general.alignment": 128})
    for part in split_file(tmp_path / "a.gguf", tmp_path / "p", max_tensors=2):
        with GgufFile(part) as file:
            assert file.alignment == 128


def test_a_failure_leaves_old_parts_and_no_temporary_files(tmp_path: Path) -> None:
    old = split_file(F16, tmp_path / "model", max_tensors=8)
    before = {part: part.read_bytes() for part in old}

    def fails(done: int, total: int, _: str) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        split_file(GOLDEN / "gguf-v1-q8_0.bin", tmp_path / "model", max_tensors=8, progress=fails)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_progress_counts_all_parts(tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    split_file(F16, tmp_path / "m", max_tensors=8, progress=lambda *call: calls.append(call))
    with io.open(F16) as whole:
        total = sum(tensor.nbytes for tensor in whole.values())
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert {t for _, t, _ in calls} == {total}
    assert calls[-1] == (total, total, "")


def test_three_parts_are_one(tmp_path: Path) -> None:
    with io.open(save_three(tmp_path)) as file:
        assert file.names == ["a", "b", "c"]
        assert file.metadata == {"general.name": "whole"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split_no": 2}, "split.no and split.count are 2 and 3 where the model has 1 and 3"),
        ({"split_count": 4}, "are 1 and 4"),
        ({"split_count": 0}, "are 1 and 0"),
        ({"split_no": "1"}, "are '1' and 3"),
        ({"split_tensors_count": 4}, "split.tensors.count is 4, but 3 in m-00001-of-00003"),
    ],
)
def test_a_part_that_does_not_fit_is_named(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    first = save_three(tmp_path, **changes)
    with pytest.raises(gk.FormatError, match=reason) as caught:
        io.open(first)
    assert Path(caught.value.path).name == "m-00002-of-00003.gguf"


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    first = save_three(tmp_path)
    (tmp_path / "m-00003-of-00003.gguf").unlink()
    with pytest.raises(gk.FormatError, match=r"m-00003-of-00003\.gguf: part 3 of 3 .* missing"):
        io.open(first)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    first = save_three(tmp_path)
    (tmp_path / "m-00002-of-00003.gguf").write_bytes(b"GGUF")
    with pytest.raises(gk.FormatError, match=r"m-00002-of-00003\.gguf"):
        io.open(first)


def test_a_tensor_in_two_parts_is_reported(tmp_path: Path) -> None:
    first = save_three(tmp_path)
    keys = {"split_no": 2, "split_count": 3, "split_tensors_count": 3}
    save_part(tmp_path / "m-00003-of-00003.gguf", "a", **keys)
    with pytest.raises(gk.FormatError, match="tensor 'a' is in another part too"):
        io.open(first)


def test_a_wrong_number_of_tensors_is_reported(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        keys = {"split_no": number, "split_count": 2, "split_tensors_count": 5}
        save_part(tmp_path / f"m-{number + 1:05d}-of-00002.gguf", name, **keys)
    with pytest.raises(gk.FormatError, match="is 5, but the parts hold 2"):
        io.open(tmp_path / "m-00001-of-00002.gguf")


@pytest.mark.parametrize(
    ("name", "keys", "reason"),
    [
        ("renamed.gguf", {"split_no": 1, "split_count": 3}, "part 2 of 3, but isn't called"),
        ("m-00001-of-00003.gguf", {"split_no": 1, "split_count": 3}, "isn't called"),
        ("m-00002-of-00004.gguf", {"split_no": 1, "split_count": 3}, "isn't called"),
        ("m.gguf", {"split_no": 3, "split_count": 3}, "split.no is 3 of only 3"),
        ("m.gguf", {"split_no": 0, "split_count": -1}, "split.count is -1"),
        ("m.gguf", {"split_no": 0, "split_count": "3"}, "split.count is '3'"),
        ("m.gguf", {"split_count": 2}, "split.no is None"),
        ("m.gguf", {"split_no": 0, "split_count": 1, "split_tensors_count": "x"}, "is 'x'"),
    ],
)
def test_invalid_keys_and_names_are_reported(
    tmp_path: Path, name: str, keys: dict[str, Any], reason: str
) -> None:
    save_part(tmp_path / name, "a", **keys)
    with pytest.raises(gk.FormatError, match=reason) as caught:
        io.open(tmp_path / name)
    assert Path(caught.value.path).name == name


def test_other_containers_and_whole_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(gk.ConversionError, match="is ggjt"):
        split_file(GOLDEN / "ggjt-v3-f16.bin", tmp_path / "m", max_tensors=5)
    with pytest.raises(gk.ConversionError, match="not a part of a split"):
        merge_files(F16, tmp_path / "m.gguf")
    with pytest.raises(ValueError, match="one of max_size and max_tensors"):
        split_file(F16, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
