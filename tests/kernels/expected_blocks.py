"""libggml's results for awkward blocks, stored in tests/data so that tests need no libggml.

``LLAMA_CPP_BIN=… python tests/kernels/expected_blocks.py`` makes the file again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paths import ROOT

EXPECTED = ROOT / "tests" / "data" / "blocks.npz"


def load() -> dict[str, NDArray[np.generic]]:
    """``x`` is float32 ``(rows, 768)``, ``importance`` float32 ``(768,)``; the others are blocks,
    uint8 ``(bytes,)``, by type (after ``weighed `` if quantized with importance).
    """
    with np.load(EXPECTED) as archive:
        return dict(archive)


def main() -> None:
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]
    from blocks import SEARCHED, SMALL, WEIGHED, awkward_groups, importances
    from ggmlkit import types
    from libggml import Libggml, find

    library = Libggml(find(Path(os.environ["LLAMA_CPP_BIN"])))
    x = awkward_groups(24, seed=7).reshape(-1, 768)
    weights = importances(768)
    arrays: dict[str, NDArray[np.generic]] = {"x": x, "importance": weights}
    for name in [*SEARCHED, *SMALL, *WEIGHED]:
        is_weighted = name in arrays or name not in SEARCHED + SMALL
        out = np.empty(len(x) * types.get(name).row_bytes(768), np.uint8)
        library.quantize(name, x, out, weights if is_weighted else None)
        arrays[f"weighed {name}" if is_weighted else name] = out
    np.savez_compressed(EXPECTED, **arrays)


if __name__ == "__main__":
    main()
