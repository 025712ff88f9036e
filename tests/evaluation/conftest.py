"""A model, a quantization of it, and a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from paths import GOLDEN

BASE = GOLDEN / "gguf-v1-f16.bin"


@pytest.fixture(scope="session")
def base() -> Path:
    """A tiny model in f16, whose vocabulary puts a token before a text."""
    return BASE


@pytest.fixture(scope="session")
def text() -> str:
    """A text of many kinds of letters, the same each time."""
    letters = np.array(list("abcdefgh  ,.é"))
    return "".join(np.random.default_rng(7).choice(letters, 420))


@pytest.fixture(scope="session")
def quantized(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in q4_0."""
    path = tmp_path_factory.mktemp("evaluation") / "q4_0.gguf"
    gk.quantize_file(base, path, "q4_0")
    return path
