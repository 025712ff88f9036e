"""Writes to a disk with more and more room: started by test_full_disk.py.

`full_disk.py FOLDER JOB …` runs in its own mount namespace, where FOLDER becomes a small tmpfs.
Prints a line "JOB FAILURES" for each job: how often it failed before there was enough room.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import seeds
from killed_writer import JOBS, SOURCES

_PAGE = 4096
_FILLER = "filler"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != _FILLER}


def leave(folder: Path, pages: int) -> None:
    """Fill the disk except for a number of pages."""
    filler = folder / _FILLER
    filler.unlink(missing_ok=True)
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(_PAGE)):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(max(0, file.tell() // _PAGE - pages) * _PAGE)


def failures(folder: Path, job: str) -> int:
    """How often the job has too little room; each error must name a file that was asked for.

    All files must stay as they were.
    """
    if job.startswith("edit"):
        (folder / "m.gguf").write_bytes((folder / SOURCES[0]).read_bytes())
    JOBS[job](folder, folder / SOURCES[0])
    before = contents(folder)
    pages = 0
    while True:
        leave(folder, pages)
        try:
            JOBS[job](folder, folder / SOURCES[1])
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            if Path(error.filename or ".").name.startswith("."):
                raise SystemExit(f"{job} does not name the file: {error}") from error
        else:
            break
        if contents(folder) != before:
            raise SystemExit(f"{job} with {pages} pages left something behind")
        pages += 1
    (folder / _FILLER).unlink()
    for name in contents(folder).keys() - set(SOURCES):
        (folder / name).unlink()
    return pages


def main() -> int:
    folder = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
    for source, matrix in zip(SOURCES, ("f16", "f32"), strict=True):
        seeds.model(folder / source, matrix)
    for job in sys.argv[2:]:
        print(job, failures(folder, job), flush=True)
    os.chdir("/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
