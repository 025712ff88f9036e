"""A conversion killed at any moment leaves the old result or the new one, and no other files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import checkpoints
from killed_converter import JOBS, SOURCES
from killing import Server, serving

KILLS = 30  # of each job


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The program that forks converters."""
    with serving(Path(__file__).with_name("killed_converter.py")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two checkpoints, and a folder for the results."""
    for name, eps in (("a", 1e-5), ("b", 1e-6)):
        (tmp_path / name).mkdir()
        checkpoints.hf_folder(tmp_path / name)
        config = checkpoints.config() | {"rms_norm_eps": eps}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    weights = tmp_path / "b" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-64:] = bytes(64)
    weights.write_bytes(data)
    (tmp_path / "out").mkdir()
    return tmp_path


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("job", ["convert", "export"])
def test_killed_at_any_moment(folder: Path, server: Server, job: str) -> None:
    whole = []
    for source in SOURCES:
        JOBS[job](folder, folder / source)
        whole.append(files_of(folder / "out"))
    assert whole[0] != whole[1]
    rng = Random(job)
    for _ in range(KILLS):
        server.run_and_kill(job, folder, rng.uniform(0, 0.06))
        left = files_of(folder / "out")
        visible = {name: data for name, data in left.items() if not name.startswith(".")}
        # An export can be killed between its renames: then it lacks config.json, the mark of one.
        assert visible in whole or (job == "export" and "config.json" not in visible)
    JOBS[job](folder, folder / SOURCES[0])
    assert files_of(folder / "out") == whole[0]


def test_an_interrupted_conversion_says_so_and_leaves_nothing(folder: Path) -> None:
    command = [sys.executable, "-m", "ggmlkit", "convert", str(folder / "a")]
    target = folder / "out" / "m.gguf"
    target.write_bytes(b"old")
    # Like Ctrl-C during the conversion itself: at its first report of progress.
    code = (
        "import os, signal, sys\n"
        # A process that a shell starts in the background ignores the signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from ggmlkit.cli import progress as bars\n"
        "from contextlib import contextmanager\n"
        "@contextmanager\n"
        "def interrupting(title, **_):\n"
        "    yield lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        "bars.progress = interrupting\n"
        "from ggmlkit.cli.app import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command[3:], str(target)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert files_of(folder / "out") == {"m.gguf": b"old"}
