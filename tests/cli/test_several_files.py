"""`quantize` and `convert` of several files: their names, and those that fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from command import ggmlkit
from ggmlkit.cli.commands import quantize
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three models, of which the second is damaged."""
    paths = [tmp_path / f"{name}.gguf" for name in "abc"]
    for path in paths:
        shutil.copy(F16, path)
    paths[1].write_bytes(F16.read_bytes()[:3000])
    return paths


def test_what_fails_is_told_at_the_end_and_the_others_are_written(
    files: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "q4_0"
    told = ggmlkit("quantize", *files, out, "q4_0", "-t", "1", code=1).stderr
    *_, head, last = told.splitlines()
    assert head == "ggmlkit: 1 of 3 files could not be written:"
    assert last.startswith(f"ggmlkit: {files[1]}: ")
    assert sorted(path.name for path in out.iterdir()) == ["a.gguf", "c.gguf"]
    ggmlkit("quantize", files[0], tmp_path / "alone.gguf", "q4_0")
    alone = (tmp_path / "alone.gguf").read_bytes()
    assert {path.read_bytes() for path in out.iterdir()} == {alone}


def test_checkpoints_are_named_by_their_folders(files: list[Path], tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("Tiny-1.5B", "other")]
    for folder in folders:
        ggmlkit("export", files[0], folder)
    ggmlkit("convert", *folders, files[2], tmp_path / "out", "--container", "ggjt")
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["Tiny-1.5B.bin", "c.bin", "other.bin"]


def test_one_file_goes_into_a_folder_that_is_there(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    parts = ggmlkit("split", files[0], tmp_path / "p", "--max-tensors", "8").stdout.split()
    ggmlkit("quantize", parts[0], tmp_path / "out", "q8_0")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["p.gguf"]
    told = ggmlkit("quantize", *parts, tmp_path / "out", "q8_0", code=2).stderr
    assert "would both be written as" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quantize", "a", "c", "c", "q4_0"], "c.gguf must be a folder"),
        (["quantize", "a", "c", "{new}.gguf", "q4_0"], "must be a folder"),
        (["quantize", "a", "{folder}", "q4_0"], "would be written over"),
        (["quantize", "a", "a", "{new}", "q4_0"], "would both be written as"),
        (["convert", "a", "c", "{new}", "--dry-run"], "--dry-run shows the plan of one SRC"),
        (["convert", "a", "c", "{new}", "--workers", "2"], "--workers goes with --ray"),
        (["quantize", "a", "c", "{new}", "q4_0", "--ray", "local"], "--ray needs -t N"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    files: list[Path], tmp_path: Path, words: list[str], said: str
) -> None:
    before = {path: path.read_bytes() for path in files}
    given = [word.format(new=tmp_path / "new", folder=tmp_path) for word in words]
    paths = {path.stem: str(path) for path in files}
    command, *rest = (paths.get(word, word) for word in given)
    assert said in ggmlkit(command, *rest, code=2).stderr
    assert {path: path.read_bytes() for path in files} == before


def test_ctrl_c_ends_the_rest(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize, "_write", interrupted)
    told = ggmlkit("quantize", *files, tmp_path / "out", "q4_0", code=130).stderr
    assert "could not be written" not in told
