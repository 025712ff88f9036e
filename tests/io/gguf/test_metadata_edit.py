"""Metadata changed in place, or in a new file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.io.gguf.metadata_edit import edit_metadata
from ggmlkit.io.gguf.values import parsed_value, value_type
from ggmlkit.tensor import Tensor
from paths import GOLDEN

METADATA = {
    "general.architecture": "llama",
    "general.name": "twelve chars",
    "n": 7,
    "small": np.uint8(3),
    "list": [1, 2, 3],
}


def saved(folder: Path, metadata: dict[str, Any] | None = None, **options: Any) -> Path:
    path = folder / "model.gguf"
    tensors = [Tensor("i8", (n,), np.full(n, n, np.uint8), f"t{n}") for n in (3, 40)]
    io.save(path, tensors, METADATA if metadata is None else metadata, **options)
    return path


def contents(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    with io.open(path) as file:
        metadata = {
            key: value.tolist() if hasattr(value, "tolist") else value
            for key, value in file.metadata.items()
        }
        return metadata, {name: t.data.tobytes() for name, t in file.items()}


@pytest.mark.parametrize("options", [{}, {"version": 1}, {"version": 2}, {"byte_order": "big"}])
@pytest.mark.parametrize(
    ("changed", "removed", "in_place"),
    [
        ({"n": 8}, [], True),
        ({"general.name": "other chars!"}, [], True),
        ({"general.name": "shorter"}, [], None),
        ({"general.name": "x" * 500}, [], False),
        ({"new": "y" * 500}, [], False),
        ({}, ["list"], False),
        ({"n": 8, "list": [9]}, ["general.name", "small"], False),
        ({"general.alignment": 64}, [], False),
        ({}, [], True),
    ],
)
def test_values_change_and_all_else_stays(
    tmp_path: Path,
    options: dict[str, Any],
    changed: dict[str, Any],
    removed: list[str],
    in_place: bool | None,
) -> None:
    path = saved(tmp_path, **options)
    before, tensors = contents(path)
    inode = path.stat().st_ino
    done_in_place = edit_metadata(path, changed, removed)
    assert in_place in (None, done_in_place)
    assert (path.stat().st_ino == inode) == done_in_place
    wanted = {k: v for k, v in before.items() if k not in removed} | changed
    assert contents(path) == (wanted, tensors)
    with io.open(path) as file:
        assert file.version == options.get("version", 3)
        assert file.byte_order == options.get("byte_order", "little")
        if "small" in wanted:
            assert file.value_types["small"] == 0
    assert list(tmp_path.iterdir()) == [path]


def test_padding_is_used_up_in_place(tmp_path: Path) -> None:
    """For all lengths of a value, it is changed in place exactly if the data needn't move."""
    path = saved(tmp_path)
    tensors = contents(path)[1]
    size = path.stat().st_size
    kept = 0
    for length in range(1, 80):
        in_place = edit_metadata(path, {"general.name": "x" * length})
        assert in_place == (path.stat().st_size == size)
        size = path.stat().st_size
        kept += in_place
        metadata, found = contents(path)
        assert (metadata["general.name"], found) == ("x" * length, tensors)
    assert kept >= 75


def test_in_place_writes_changed_bytes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    calls: list[tuple[bytes, int]] = []
    write = os.pwrite

    def counted(descriptor: int, data: bytes, offset: int) -> int:
        calls.append((data, offset))
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", counted)
    assert edit_metadata(path, {"general.name": "twelve_chars"})
    assert calls == [(b"_", path.read_bytes().index(b"_chars"))]
    assert edit_metadata(path, {"general.name": "twelve_chars"})
    assert len(calls) == 1


def test_a_new_file_is_written_if_requested(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before, tensors = contents(path)
    inode = path.stat().st_ino
    assert not edit_metadata(path, {"n": 8}, in_place=False)
    assert path.stat().st_ino != inode
    assert contents(path) == (before | {"n": 8}, tensors)


def test_a_failed_rewrite_leaves_the_old_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    raw = path.read_bytes()

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit_metadata(path, {"new": "x" * 500}, progress=fails)
    assert path.read_bytes() == raw
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stem", ["gguf-v1-q4_0", "gguf-v1-f16", "gguf-v3-be-f16"])
def test_golden_files(tmp_path: Path, stem: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes((GOLDEN / f"{stem}.bin").read_bytes())
    before, tensors = contents(path)
    edit_metadata(path, {"llama.block_count": 3})
    assert contents(path) == (before | {"llama.block_count": 3}, tensors)
    with io.open(path) as file, io.open(GOLDEN / f"{stem}.bin") as old:
        assert file.value_types == old.value_types


def test_only_the_given_part_of_a_model_is_changed(tmp_path: Path) -> None:
    from ggmlkit.io.gguf.split import split_file

    parts = split_file(GOLDEN / "gguf-v1-f16.bin", tmp_path / "m", max_tensors=8)
    others = [part.read_bytes() for part in parts[1:]]
    edit_metadata(parts[0], {"general.name": "renamed to something longer"})
    assert [part.read_bytes() for part in parts[1:]] == others
    with io.open(parts[2]) as file:
        assert file.metadata["general.name"] == "renamed to something longer"
        assert len(file) == 21


def test_a_file_without_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    io.save(path, {}, {"a": "b"})
    assert not edit_metadata(path, {"a": "cc"})
    assert contents(path) == ({"a": "cc"}, {})


def test_impossible_edits_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    raw = path.read_bytes()
    with pytest.raises(gk.GgmlkitError, match=r"model\.gguf: there is no key 'nothing'"):
        edit_metadata(path, {}, ["nothing"])
    for alignment in (3, "x", True, 64.0):
        with pytest.raises(gk.ConversionError, match="not a power of two"):
            edit_metadata(path, {"general.alignment": alignment})
    for key in ("\udcff", 5):
        with pytest.raises(gk.ArgumentError, match=r"a key of (metadata|changed) must"):
            edit_metadata(path, {key: "x"})  # type: ignore[dict-item]
    with pytest.raises(gk.ConversionError, match="NoneType"):
        edit_metadata(path, {"n": None})
    assert path.read_bytes() == raw
    with pytest.raises(gk.FormatError):
        edit_metadata(GOLDEN / "ggjt-v3-f16.bin", {"n": 1})


@pytest.mark.parametrize(
    ("text", "type", "value"),
    [
        ("12", None, 12),
        ("-3", None, -3),
        ("1.5", None, 1.5),
        ("true", None, True),
        ("null", None, "null"),
        ("text", None, "text"),
        ('"12"', None, '"12"'),
        ("[1, 2]", None, [1, 2]),
        ("{}", None, "{}"),
        ("12", "str", "12"),
        ("12", "u8", 12),
        ("12", "f32", 12),
        ("false", "bool", False),
        ('["a", "b"]', "str[]", ["a", "b"]),
        ("[1, 2]", "i16[]", [1, 2]),
        ("[]", "f32[]", []),
    ],
)
def test_text_becomes_a_value(text: str, type: str | None, value: Any) -> None:
    found = parsed_value(text, None if type is None else value_type(type))
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("text", "type", "message"),
    [
        ("300", "u8", "'300' is not of type u8"),
        ("-1", "u32", "not of type u32"),
        ("1.5", "i32", "not of type i32"),
        ("x", "f64", "not of type f64"),
        ("1", "bool", "not of type bool"),
        ("true", "i8", "not of type i8"),
        ("1", "i8[]", r"not of type i8\[\]"),
        ("[1]", "str[]", r"not of type str\[\]"),
        ("[256]", "u8[]", r"not of type u8\[\]"),
        ("1e400", "f64", "'1e400' holds a number beyond float64"),
        ("[1, 1e400]", None, "a number beyond float64"),
        ("1", "u128", "there is no type 'u128'"),
    ],
)
def test_text_of_another_type_is_refused(text: str, type: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parsed_value(text, None if type is None else value_type(type))
