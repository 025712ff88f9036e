"""How much memory a program of its own takes at most."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# VmHWM, unlike ru_maxrss, begins anew with the program and forgets what the tests' process had.
_PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
"""


def printed(code: str, *words: str | Path) -> int:
    """The last line that Python code prints, a number; ``peak()`` gives it the bytes so far."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK + code, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])
