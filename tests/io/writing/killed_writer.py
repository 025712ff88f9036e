"""Writes files repeatedly until it is killed: started by test_killed_writers.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import ggmlkit as gk
from ggmlkit.io.gguf.metadata_edit import edit_metadata
from ggmlkit.io.gguf.split import split_file
from killing import serve

SOURCES = ("a.gguf", "b.gguf")  # written in turns; the first exists when a job begins


def save(folder: Path, source: Path) -> None:
    with gk.open(source) as file:
        gk.save(folder / "m.gguf", file.tensors, file.metadata)


def named(folder: Path, source: Path) -> None:
    """Saves as on a system without unnamed files."""
    with mock.patch.dict(vars(os)):
        vars(os).pop("O_TMPFILE", None)
        save(folder, source)


def convert(folder: Path, source: Path) -> None:
    gk.convert(source, folder / "m.gguf", type="f16", threads=1)


def quantize(folder: Path, source: Path) -> None:
    gk.quantize_file(source, folder / "m.gguf", "q4_0", pure=True, threads=1)


def edit(folder: Path, source: Path) -> None:
    edit_metadata(folder / "m.gguf", {"general.name": source.stem * 40}, in_place=False)


def edit_in_place(folder: Path, source: Path) -> None:
    edit_metadata(folder / "m.gguf", {"general.name": source.stem})


def split(folder: Path, source: Path) -> None:
    split_file(source, folder / "m", max_tensors=4)


JOBS: dict[str, Callable[[Path, Path], None]] = {
    job.__name__: job for job in (save, named, convert, quantize, edit, edit_in_place, split)
}


if __name__ == "__main__":
    sys.exit(serve(JOBS, SOURCES))
