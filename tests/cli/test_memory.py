"""Commands on files take the memory of a tensor, not of the file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ggmlkit import io
from ggmlkit.tensor import Tensor
from peak_memory import printed

TENSOR = 8 << 20
MEASURE = """
import sys
from ggmlkit.cli.app import run
import ggmlkit.conversion.open_source, ggmlkit.inspection.compare
import ggmlkit.io.gguf.split, ggmlkit.quantization
before = peak()
code = run(sys.argv[1:])
print(peak() - before)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 160 MB."""
    path = tmp_path_factory.mktemp("large") / "a.gguf"
    data = np.zeros(TENSOR, np.uint8)
    io.save(path, {f"t{n}": Tensor("f16", (TENSOR // 2,), data) for n in range(20)}, {"a": 1})
    return path


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "{file}"],
        ["split", "{file}", "{out}", "--max-tensors", "7"],
        ["compare", "{file}", "{file}"],
        ["verify", "{file}", "--sha256"],
        ["repair", "{file}", "{out}"],
        ["metadata", "set", "{file}", "text", "x" * 99],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
def test_peak_memory(tmp_path: Path, large: Path, command: list[str]) -> None:
    words = [word.format(file=large, out=tmp_path / "out.gguf") for word in command]
    assert printed(MEASURE, *words) < 5 * TENSOR
