"""Runs jobs repeatedly in a separate process, until it is killed.

A test starts a program that calls ``serve``, which reads lines "JOB FOLDER" and answers each with
the number of a process that repeats the job endlessly. Such a process is forked from the program,
where no thread runs and everything is imported, because starting a new one takes longer.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import ggmlkit as gk


def serve(jobs: Mapping[str, Callable[[Path, Path], None]], sources: Sequence[str]) -> int:
    """The program's main function; a job gets a folder and, in turns, one of the sources in it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system collects ended processes
    for line in sys.stdin:
        name, folder = line.rstrip("\n").split(" ", 1)
        child = os.fork()
        if child == 0:
            for source in itertools.cycle(reversed(sources)):
                jobs[name](Path(folder), Path(folder, source))
        print(child, flush=True)
    return 0


class Server:
    """The running program."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._answers = process.stdin, process.stdout

    def run_and_kill(self, job: str, folder: Path, seconds: float) -> None:
        """Let a job run for some seconds, kill its process, and wait until it has ended."""
        print(job, folder, file=self._orders, flush=True)
        worker = int(self._answers.readline())
        time.sleep(seconds)
        os.kill(worker, signal.SIGKILL)
        while True:
            try:
                os.kill(worker, 0)
            except ProcessLookupError:
                return
            time.sleep(0.0005)


@contextmanager
def serving(program: Path) -> Iterator[Server]:
    """Start the program; it ends with the ``with`` block."""
    tests = Path(__file__).parent
    path = [str(Path(gk.__file__).parents[1]), str(tests), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
    )
    with process:
        yield Server(process)
        process.kill()
