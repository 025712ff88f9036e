"""Converts or exports again and again until it is killed: started by test_killed.py."""

from __future__ import annotations

import sys
from pathlib import Path

import ggmlkit as gk
from killing import serve

SOURCES = ("a", "b")  # checkpoint folders


def convert(folder: Path, source: Path) -> None:
    gk.convert(source, folder / "out" / "m.gguf", type="q8_0", threads=1)


def export(folder: Path, source: Path) -> None:
    gk.export(source, folder / "out", shard_size=20_000, threads=1)


JOBS = {job.__name__: job for job in (convert, export)}


if __name__ == "__main__":
    sys.exit(serve(JOBS, SOURCES))
