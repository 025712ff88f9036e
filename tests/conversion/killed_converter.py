"""Converts or exports again and again until it is killed: started by test_killed.py.

Reads lines "JOB FOLDER", answers each with the number of a process that does the job for ever,
forked off here, where no thread runs and everything is imported.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

import ggmlkit as gk

SOURCES = ("a", "b")  # checkpoint folders


def convert(folder: Path, source: Path) -> None:
    gk.convert(source, folder / "out" / "m.gguf", type="q8_0", threads=1)


def export(folder: Path, source: Path) -> None:
    gk.export(source, folder / "out", shard_size=20_000, threads=1)


JOBS = {job.__name__: job for job in (convert, export)}


def main() -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries them
    for line in sys.stdin:
        name, folder = line.rstrip("\n").split(" ", 1)
        child = os.fork()
        if child == 0:
            for source in itertools.cycle(reversed(SOURCES)):
                JOBS[name](Path(folder), Path(folder, source))
        print(child, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
