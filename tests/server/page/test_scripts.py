"""The page's scripts, run by node."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ggmlkit.server.page.page import STATIC

HERE = Path(__file__).parent


def node(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """What node says."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node")
    command = [program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_modules_parse_and_find_what_they_import() -> None:
    words = ["--experimental-vm-modules", HERE / "check.mjs", STATIC, "main.mjs", "theme.js"]
    found = node(*words)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == sorted(file.name for file in STATIC.glob("*.mjs"))


def test_units() -> None:
    found = node(HERE / "units.mjs")
    assert found.returncode == 0, found.stdout + found.stderr
    assert int(re.findall(r"pass (\d+)", found.stdout)[-1]) > 50
