"""Memory: at most three times the largest tensor and 200 MB, whatever the size of the model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from peak_memory import printed
from sparse import sparse_easylm, sparse_folder, sparse_gptq

MEASURE = """
import sys
from ggmlkit.cli.app import run
code = run(sys.argv[1:])
print(peak())
sys.exit(code)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def peak_of(*words: str | Path) -> int:
    """Peak memory of a command in bytes."""
    return printed(MEASURE, *words)


def bound(largest: int) -> int:
    return 3 * largest + 200_000_000


def test_a_model_of_gigabytes(tmp_path: Path) -> None:
    """The data that is read is a hole in a sparse file; the data that is written is real."""
    size, largest = sparse_folder(tmp_path / "hf", dim=2048, ffn=8192, layers=20)
    assert size > 2.5e9
    peak = peak_of("convert", tmp_path / "hf", tmp_path / "m.gguf", "--type", "tq2_0")
    assert peak < bound(largest) < size / 8


@pytest.mark.parametrize("command", ["convert", "export"])
def test_many_threads_that_copy(tmp_path: Path, command: str) -> None:
    """Eight threads with a tensor each would take eight tensors of memory."""
    size, largest = sparse_folder(tmp_path / "hf", dim=2048, ffn=16384, layers=2)
    out = tmp_path / ("m.gguf" if command == "convert" else "out")
    assert peak_of(command, tmp_path / "hf", out, "-t", "8") < bound(largest) < size


@pytest.mark.parametrize("type", ["f16", "q4_1"])
def test_layers_of_four_bits(tmp_path: Path, type: str) -> None:
    size, largest = sparse_gptq(tmp_path / "gptq", dim=2048, ffn=16384, layers=2)
    peak = peak_of("convert", tmp_path / "gptq", tmp_path / "m.gguf", "--type", type)
    assert peak < bound(largest) < size


def test_a_stream_of_arrays(tmp_path: Path) -> None:
    size, largest = sparse_easylm(tmp_path / "easylm", dim=2048, ffn=16384, layers=2)
    path = tmp_path / "easylm" / "streaming_params"
    peak = peak_of("convert", path, tmp_path / "m.gguf", "--type", "f16")
    assert peak < bound(largest) < size


def test_a_dry_run_reads_no_tensor(tmp_path: Path) -> None:
    size, _ = sparse_folder(tmp_path / "hf", dim=16384, ffn=65536, layers=40)
    assert size > 300e9
    assert peak_of("convert", tmp_path / "hf", tmp_path / "m.gguf", "--dry-run") < 200_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["hf"]
