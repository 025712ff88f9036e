"""mypy's view of the library's types in a user's program."""

from __future__ import annotations

import subprocess
import sys

from paths import ROOT


def test_mypy_agrees_with_the_asserted_types() -> None:
    # A wrong assert_type is an error; with strict settings, an unneeded ignore is one too.
    command = [sys.executable, "-m", "mypy", "tests/typing"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
