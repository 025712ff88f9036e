"""A process killed while it writes leaves the complete old or new file, no temporary files."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import seeds
from killed_writer import JOBS, SOURCES
from killing import Server, serving

KILLS = 30  # of each job


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The program that forks the writers."""
    with serving(Path(__file__).with_name("killed_writer.py")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, job: str) -> Path:
    """A folder with two models to write, or one to edit."""
    for source, matrix in zip(SOURCES, ("f16", "f32"), strict=True):
        seeds.model(tmp_path / source, matrix)
    if job.startswith("edit"):
        (tmp_path / "m.gguf").write_bytes((tmp_path / SOURCES[0]).read_bytes())
    return tmp_path


def written_whole(job: str, folder: Path) -> dict[str, set[bytes]]:
    """Allowed contents of each file, by name: those that the job writes from either source."""
    found: dict[str, set[bytes]] = {}
    for source in SOURCES:
        JOBS[job](folder, folder / source)
        for path in folder.glob("m*"):
            found.setdefault(path.name, set()).add(path.read_bytes())
    return found


@pytest.mark.parametrize("job", JOBS)
def test_killed_at_any_moment(folder: Path, server: Server, job: str) -> None:
    possible = written_whole(job, folder)
    names = {*possible, *SOURCES}
    rng = Random(job)
    for _ in range(KILLS):
        server.run_and_kill(job, folder, rng.uniform(0, 0.04))
        for name, contents in possible.items():
            assert (folder / name).read_bytes() in contents
    JOBS["edit" if job == "edit_in_place" else job](folder, folder / SOURCES[0])
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.parametrize("job", [job for job in JOBS if job != "edit_in_place"])
def test_a_full_disk(folder: Path, job: str) -> None:
    """A limit on file size replaces a full disk: the write fails in the middle."""
    import resource

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
