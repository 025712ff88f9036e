"""libggml's points of lattices for some rows, stored in tests/data so that tests need no libggml.

``LLAMA_CPP_BIN=… python tests/kernels/expected_lattices.py`` makes the file again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paths import ROOT

EXPECTED = ROOT / "tests" / "data" / "lattices.npz"
ROWS, COLUMNS = 12, 512
# These can't be made without importance; libggml was told ones.
ASK_FOR_IMPORTANCE = ("iq1_s", "iq2_xxs", "iq2_xs")


def load() -> dict[str, NDArray[np.generic]]:
    """``x`` is float16 ``(ROWS, COLUMNS)``, ``importance`` float32 ``(COLUMNS,)``; the others are
    blocks, uint8 ``(bytes,)``, by type (after ``weighed `` if quantized with importance).
    """
    with np.load(EXPECTED) as archive:
        return dict(archive)


def rows() -> NDArray[np.float32]:
    """Numbers of float16, of many kinds: ties, zeros, one sign, far smaller and larger ones."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    x[1] *= np.float32(0.02)
    x[2] = rng.standard_t(3, COLUMNS)
    x[3] = np.round(x[3] * 4) / 4
    x[4, ::3] = 0
    x[5] = np.copysign(np.float32(0.7), x[5])
    x[6] *= np.float32(1e-4)
    x[7] = -np.abs(x[7])
    # Not all of 32: behind such a group libggml's iq3_s puts points where they don't belong.
    x[8].reshape(-1, 32)[::2, :16] = 0
    x[9] = 0
    x[10] *= np.float32(1000)
    x[11].reshape(-1, 16)[::3] *= np.float32(0.01)
    return x.astype(np.float16).astype(np.float32)


def main() -> None:
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]
    from blocks import LATTICES, importances
    from ggmlkit import types
    from libggml import Libggml, find

    library = Libggml(find(Path(os.environ["LLAMA_CPP_BIN"])))
    x, weights = rows(), importances(COLUMNS)
    arrays: dict[str, NDArray[np.generic]] = {"x": x.astype(np.float16), "importance": weights}
    for name in LATTICES:
        for prefix, importance in (("", None), ("weighed ", weights)):
            out = np.empty(len(x) * types.get(name).row_bytes(COLUMNS), np.uint8)
            library.quantize(name, x, out, importance)
            arrays[prefix + name] = out
    np.savez_compressed(EXPECTED, **arrays)


if __name__ == "__main__":
    main()
