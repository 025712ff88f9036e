"""Memory: at most three of the largest tensors and 200 MB, whatever the size of the model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sparse import sparse_folder

# VmHWM, unlike ru_maxrss, begins anew with the program and forgets what the tests' process had.
MEASURE = """
import sys
from pathlib import Path
from ggmlkit.cli.app import run
code = run(sys.argv[1:])
status = Path("/proc/self/status").read_text()
print(1024 * int(status.split("VmHWM:")[1].split()[0]))
sys.exit(code)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def peak_of(*words: str | Path) -> int:
    """Bytes that a command took at most."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def bound(largest: int) -> int:
    return 3 * largest + 200_000_000


def test_a_model_of_gigabytes(tmp_path: Path) -> None:
    """Its data is a hole in a sparse file, read like any other; what is written is real."""
    size, largest = sparse_folder(tmp_path / "hf", dim=2048, ffn=8192, layers=20)
    assert size > 2.5e9
    peak = peak_of("convert", tmp_path / "hf", tmp_path / "m.gguf", "--type", "tq2_0")
    assert peak < bound(largest) < size / 8


@pytest.mark.parametrize("command", ["convert", "export"])
def test_many_threads_that_copy(tmp_path: Path, command: str) -> None:
    """Each with a tensor of its own would take eight."""
    size, largest = sparse_folder(tmp_path / "hf", dim=2048, ffn=16384, layers=2)
    out = tmp_path / ("m.gguf" if command == "convert" else "out")
    assert peak_of(command, tmp_path / "hf", out, "-t", "8") < bound(largest) < size


def test_a_dry_run_reads_no_tensor(tmp_path: Path) -> None:
    size, _ = sparse_folder(tmp_path / "hf", dim=16384, ffn=65536, layers=40)
    assert size > 300e9
    assert peak_of("convert", tmp_path / "hf", tmp_path / "m.gguf", "--dry-run") < 200_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["hf"]
