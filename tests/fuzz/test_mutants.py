"""Thousands of damaged files: each is read or gives a GgmlkitError, soon and in little memory."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import ggmlkit as gk
from limits import bounded, bounded_process
from targets import TARGETS, Target

MUTANTS = 250


def outcome(target: Target, path: Path) -> gk.GgmlkitError | None:
    """The error that reading a file gives; None for success."""
    try:
        with bounded():
            target.read(path)
    except gk.GgmlkitError as error:
        return error
    return None


def is_named(path: Path, error: gk.GgmlkitError) -> bool:
    """Whether an error says which file, or folder, is at fault."""
    return str(path) in str(error) or str(path.parent) in str(error)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seed_is_read(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    target.make(tmp_path)
    assert (tmp_path / target.file).stat().st_size < 40_000
    target.read(tmp_path / target.file)


@pytest.mark.parametrize("name", TARGETS)
def test_mutants(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    target.make(tmp_path)
    path = tmp_path / target.file
    seed = path.read_bytes()
    target.read(path)  # so that imports are not measured
    with bounded_process():
        for number in range(MUTANTS):
            mutant = target.damage(seed, Random(f"{name} {number}"))
            path.write_bytes(mutant)
            error = outcome(target, path)
            assert error is None or not target.named or is_named(path, error), error
