"""What the tests against other programs share; every one is skipped where its program isn't.

LLAMA_CPP_BIN    folder of llama.cpp's tools, libggml in it or beside it
PEER_F16_MODEL   a LLaMA-family gguf in f16 (the demo's is taken if there)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # libggml.py: one binding for tests and benchmarks


@pytest.fixture(scope="session")
def llama_bin() -> Path:
    """Folder of llama.cpp's tools."""
    folder = os.environ.get("LLAMA_CPP_BIN")
    if not folder:
        pytest.skip("LLAMA_CPP_BIN is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def f16_model() -> Path:
    """A real model in f16."""
    default = ROOT / "build/models/smollm2-f16.gguf"
    path = Path(os.environ.get("PEER_F16_MODEL", default))
    if not path.exists():
        pytest.skip("no f16 model: set PEER_F16_MODEL or run `make demo`")
    return path
