"""Measures the peak memory of a separate program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# VmHWM, unlike ru_maxrss, starts at zero with the program, without the tests' process's memory.
_PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
"""


def printed(code: str, *words: str | Path) -> int:
    """The number in the last line that Python code prints; it can call ``peak()`` for the bytes."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK + code, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])
