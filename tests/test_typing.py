"""What mypy makes of the library's types, as a user's program sees them."""

from __future__ import annotations

import subprocess
import sys

from paths import ROOT


def test_mypy_agrees_with_the_types_that_are_claimed() -> None:
    # A wrong assert_type is an error; so is, as strict wants it, an ignore that ignores nothing.
    command = [sys.executable, "-m", "mypy", "tests/typing"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
