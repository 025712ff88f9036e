"""`ggmlkit metadata get`: a program gets the value, a terminal nothing that would command it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ggmlkit as gk
from command import ggmlkit

HOSTILE = "one\n\ttwo \x1b]52;c;cm0=\x07\x1b[2J\x9b31m\r"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    gk.save(path, {}, {"text": HOSTILE, "texts": [HOSTILE]})
    return path


def test_a_program_gets_the_value_itself(model: Path) -> None:
    assert ggmlkit("metadata", "get", model, "text").stdout == HOSTILE + "\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("key", ["text", "texts"])
def test_a_terminal_gets_text(model: Path, key: str) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "ggmlkit", "metadata", "get", str(model), key]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert done.returncode == 0, done.stderr
    plain = shown.replace("\r\n", "").replace("\t", "")  # the terminal's own line breaks
    assert plain.isprintable()
    assert "52;c;cm0=" in plain
    if key == "text":
        assert shown.startswith("one\r\n\ttwo \\x1b]52")
