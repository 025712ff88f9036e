"""Many files on a cluster: those that fail, and workers that are killed while they write."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from command import ggmlkit
from paths import GOLDEN, ROOT

F16 = GOLDEN / "gguf-v1-f16.bin"
COUNT = 6


def test_what_fails_is_told_and_the_others_are_written(cluster: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.gguf" for name in "abcd"]
    for path in files:
        shutil.copy(F16, path)
    files[2].write_bytes(F16.read_bytes()[:3000])
    on_ray = ["-t", "1", "--ray", cluster, "--workers", "2"]
    told = ggmlkit("quantize", *files, tmp_path / "q", "q4_0", *on_ray, code=1).stderr
    assert told.splitlines()[-2] == "ggmlkit: 1 of 4 files could not be written:"
    assert told.splitlines()[-1].startswith(f"ggmlkit: {files[2]}: ")
    here = ggmlkit("quantize", *files, tmp_path / "here", "q4_0", "-t", "1", code=1).stderr
    assert here.splitlines()[-2:] == told.splitlines()[-2:]
    assert contents(tmp_path / "q") == contents(tmp_path / "here")
    del files[2]
    ggmlkit("convert", *files, tmp_path / "c", "--type", "q8_0", *on_ray)
    ggmlkit("convert", *files, tmp_path / "d", "--type", "q8_0", "-t", "1")
    assert contents(tmp_path / "c") == contents(tmp_path / "d")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def large(tmp_path: Path) -> list[Path]:
    """Files whose quantization takes a second, and more."""
    random = np.random.default_rng(1)
    first = tmp_path / "0.gguf"
    with gk.open(F16) as file:
        tensors = {name: file[name] for name in file.names}
        matrix = random.standard_normal((8192, 1024)).astype(np.float16)
        gk.save(first, tensors | {"extra.weight": matrix}, file.metadata)
    paths = [tmp_path / f"{n}.gguf" for n in range(COUNT)]
    for path in paths[1:]:
        os.link(first, path)
    return paths


def test_a_worker_killed_leaves_files_whole_or_absent(
    cluster: str, large: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["quantize", *large, out, "q4_K", "-t", "1", "--ray", cluster, "--workers", "2"]
    command = [sys.executable, "-m", "ggmlkit", *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        os.kill(worker_at_work(out, process), signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=200)
    assert (process.returncode, stdout) == (0, ""), stderr
    alone = tmp_path / "alone.gguf"
    ggmlkit("quantize", large[0], alone, "q4_K", "-t", "1")
    assert contents(out) == {path.name: alone.read_bytes() for path in large}


def worker_at_work(out: Path, process: subprocess.Popen[str]) -> int:
    """A process that writes a file, after one is there and before all are."""
    end = time.monotonic() + 200
    while time.monotonic() < end and process.poll() is None:
        if out.exists() and 0 < len(list(out.iterdir())) < COUNT - 1:
            for entry in Path("/proc").iterdir():
                if entry.name.isdecimal() and is_at_work(entry):
                    return int(entry.name)
        time.sleep(0.02)
    raise AssertionError("no worker was at work")


def is_at_work(process: Path) -> bool:
    try:
        return process.joinpath("cmdline").read_bytes().startswith(b"ray::_Process.do")
    except OSError:
        return False
