"""Checks an installed wheel without test tools and files: `python tests/smoke.py`."""

from __future__ import annotations

import platform
import sys
import tempfile
from pathlib import Path

import numpy as np

import ggmlkit as gk


def main() -> int:
    """Quantize, multiply, save and reopen; returns the exit code."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((64, 256), dtype=np.float32)
    inputs = rng.standard_normal((3, 256), dtype=np.float32)
    for name in ("f16", "q4_0", "q5_0", "q8_0"):
        tensor = gk.quantize(weights, name)
        exact = inputs @ tensor.dequantize().T
        error = float(np.abs(inputs @ tensor.T - exact).max() / np.abs(exact).max())
        assert error < 0.02, (name, error)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "smoke.gguf"
        gk.save(path, {"w": gk.quantize(weights, "q4_0")}, {"general.architecture": "llama"})
        with gk.open(path) as file:
            same = np.array_equal(file["w"].data, gk.quantize(weights, "q4_0").data)
            assert same, "the file's bytes differ"
    print(
        f"ggmlkit {gk.__version__} works on {platform.python_implementation()} "
        f"{platform.python_version()}, numpy {np.__version__}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
