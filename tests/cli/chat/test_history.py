"""The history of typed messages: its place, its limits, and a folder that can't be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ggmlkit.cli.chat import history
from ggmlkit.cli.chat.history import KeptHistory, history_file


def test_it_is_kept_the_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "history"
    for message in ("one", "two\nlines", "é"):
        KeptHistory(path).store_string(message)
    assert list(KeptHistory(path).load_history_strings()) == ["é", "two\nlines", "one"]
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["file/history", "folder", "pipe"])
def test_without_a_file_it_lasts_for_one_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    kept = KeptHistory(tmp_path / name)
    kept.append_string("one")
    assert kept.get_strings() == ["one"]
    assert list(kept.load_history_strings()) == []


def test_it_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_MOST_BYTES", 4000)
    path = tmp_path / "history"
    for number in range(100):
        KeptHistory(path).store_string(f"message {number}\nof two lines")
    assert path.stat().st_size < 4200
    found = list(KeptHistory(path).load_history_strings())
    assert 10 < len(found) < 100
    assert found == [f"message {99 - place}\nof two lines" for place in range(len(found))]
    assert path.stat().st_mode & 0o077 == 0


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert history_file() == tmp_path / ".local/state/ggmlkit/chat_history"
    monkeypatch.setattr(Path, "home", homeless)
    assert history_file() == Path("/dev/null")
    KeptHistory(history_file()).append_string("one")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert history_file() == Path("/state/ggmlkit/chat_history")
