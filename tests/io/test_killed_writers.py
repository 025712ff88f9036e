"""A process killed while it writes leaves the old file or the new one, whole, and no debris."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import ggmlkit as gk
import seeds
from killed_writer import JOBS, SOURCES

KILLS = 30  # of each job
PROGRAM = Path(__file__).with_name("killed_writer.py")


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    """The program that forks writers off."""
    pytest.importorskip("fcntl")
    path = os.pathsep.join([str(Path(gk.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    with process:
        yield process
        process.kill()


@pytest.fixture
def folder(tmp_path: Path, job: str) -> Path:
    """With two models to write, and one to edit where that is the job."""
    for source, matrix in zip(SOURCES, ("f16", "f32"), strict=True):
        seeds.model(tmp_path / source, matrix)
    if job.startswith("edit"):
        (tmp_path / "m.gguf").write_bytes((tmp_path / SOURCES[0]).read_bytes())
    return tmp_path


def written_whole(job: str, folder: Path) -> dict[str, set[bytes]]:
    """What each file may hold, by name: what the job writes of either source."""
    found: dict[str, set[bytes]] = {}
    for source in SOURCES:
        JOBS[job](folder, folder / source)
        for path in folder.glob("m*"):
            found.setdefault(path.name, set()).add(path.read_bytes())
    return found


def kill(number: int) -> None:
    """End a process at once, and wait until it has."""
    os.kill(number, signal.SIGKILL)
    while True:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        time.sleep(0.0005)


@pytest.mark.parametrize("job", JOBS)
def test_killed_at_any_moment(folder: Path, server: subprocess.Popen[str], job: str) -> None:
    possible = written_whole(job, folder)
    names = {*possible, *SOURCES}
    rng = Random(job)
    assert server.stdin is not None
    assert server.stdout is not None
    for _ in range(KILLS):
        print(job, folder, file=server.stdin, flush=True)
        writer = int(server.stdout.readline())
        time.sleep(rng.uniform(0, 0.04))
        kill(writer)
        for name, contents in possible.items():
            assert (folder / name).read_bytes() in contents
    JOBS["edit" if job == "edit_in_place" else job](folder, folder / SOURCES[0])
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.parametrize("job", [job for job in JOBS if job != "edit_in_place"])
def test_a_full_disk(folder: Path, job: str) -> None:
    """A limit on file size stands in for it: the write fails in the middle."""
    resource = pytest.importorskip("resource")
    JOBS[job](folder, folder / SOURCES[0])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 11, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            JOBS[job](folder, folder / SOURCES[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
