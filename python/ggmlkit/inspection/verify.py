"""Checks a model file: its structure, its numbers, and the statistics of its tensors."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ggmlkit.arguments import check_paths, check_progress, thread_count
from ggmlkit.inspection.tensor_report import TensorReport, tensor_report
from ggmlkit.io import Progress
from ggmlkit.io import open as open_file
from ggmlkit.io.base import ModelFile

_CHUNK = 1 << 22


@dataclass(frozen=True)
class FileReport:
    """What was found in a file.

    Attributes:
        path: the file.
        container: its kind.
        version: of the container.
        problems: of the file as a whole, one sentence each.
        tensors: in file order.
        sha256: of each file of the model by its path, if asked for.
    """

    path: Path
    container: str
    version: int | None
    problems: list[str]
    tensors: list[TensorReport]
    sha256: dict[str, str]

    @property
    def all_problems(self) -> list[str]:
        """The problems of the file, then those of its tensors."""
        return self.problems + [text for tensor in self.tensors for text in tensor.problems]


def verify_file(
    path: str | os.PathLike[str],
    *,
    sha256: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> FileReport:
    """Check a whole file, a few megabytes at a time.

    Opening already checks the structure and that all data lies inside the file. This also checks
    that no two tensors share bytes, that lists of the vocabulary are equally long, and that scales
    and values are finite.

    Args:
        path: a file of any container.
        sha256: compute check sums of the file and of each tensor.
        threads: at most this many.
        progress: as ``gk.save`` calls it.

    Raises:
        FormatError: the structure is damaged.
        OSError: the file can't be read.
    """
    check_paths(path=path)
    thread_count(threads)
    check_progress(progress)
    with open_file(path) as file:
        total = sum(tensor.nbytes for tensor in file.values())
        reports = []
        done = 0
        for name, tensor in file.items():
            if progress is not None:
                progress(done, total, name)
            reports.append(tensor_report(name, tensor, sha256=sha256, threads=threads))
            done += tensor.nbytes
        if progress is not None:
            progress(total, total, "")
        return FileReport(
            file.path,
            file.container,
            file.version,
            [*_overlaps(file), *_vocabulary_problems(file)],
            reports,
            {str(one): _file_sha256(one) for one in file.paths} if sha256 else {},
        )


def _overlaps(file: ModelFile) -> list[str]:
    problems = []
    for part in file.parts or [file]:
        end, owner = 0, ""
        for start, size, name in sorted(part.ranges()):
            if start < end and size:
                problems.append(f"tensors {owner!r} and {name!r} share bytes from {start} on")
            if start + size > end:
                end, owner = start + size, name
    return problems


def _vocabulary_problems(file: ModelFile) -> list[str]:
    tokens = file.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list):
        return []
    problems = []
    for key in ("tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
        found = file.metadata.get(key)
        if found is None:
            continue
        entries = len(found) if isinstance(found, (list, np.ndarray)) else 1
        if entries != len(tokens):
            problems.append(f"{key} has {entries} entries for {len(tokens)} tokens")
    return problems


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
