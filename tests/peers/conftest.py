"""What the tests against other programs share. `make peers` builds those programs and runs all of
these tests; elsewhere a test whose program is not there is skipped.

LLAMA_CPP_BIN    folder of llama.cpp's tools, libggml in it or beside it
PEER_F16_MODEL   a gguf of the LLaMA family in f16; otherwise one is made of SmolLM2-135M
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import ggmlkit as gk
from paths import ROOT


@pytest.fixture(scope="session")
def llama_bin() -> Path:
    """Folder of llama.cpp's tools."""
    folder = os.environ.get("LLAMA_CPP_BIN")
    if not folder:
        pytest.skip("LLAMA_CPP_BIN is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def f16_model(request: pytest.FixtureRequest) -> Path:
    """A real model in f16."""
    request.getfixturevalue("llama_bin")  # nothing else uses it
    if named := os.environ.get("PEER_F16_MODEL"):
        return Path(named)
    path = ROOT / "build/models/smollm2-f16.gguf"
    if not path.exists():
        gk.convert(request.getfixturevalue("smollm2_gguf"), path, type="f16")
    return path
