"""gguf files that we write of each architecture, loaded by llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from tiny_models import VARIANTS, save_variant

llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

# Its loader does not read these architectures' windows.
IGNORED = {"mistral-window", "qwen2-window", "qwen3-window", "phi3-window"}
TOKENS = np.random.default_rng(4).integers(0, 320, 200).tolist()
# Both keep keys and values in float16; it looks GELU up in a table of float16.
BOUND = 2e-3


def logits(path: Path) -> tuple[Any, Any]:
    """Ours and llama.cpp's: float32 ``(tokens, vocabulary)`` each."""
    peer = llama_cpp.Llama(str(path), n_ctx=512, logits_all=True, n_threads=1, verbose=False)
    peer.eval(TOKENS)
    return gk.Llama(path, threads=1).logits(TOKENS), peer.scores[: len(TOKENS)]


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in IGNORED])
def test_logits_are_llama_cpps(tmp_path: Path, variant: str) -> None:
    save_variant(variant, tmp_path / "tiny")
    gk.convert(tmp_path / "tiny", tmp_path / "m.gguf", type="f32")
    ours, theirs = logits(tmp_path / "m.gguf")
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < BOUND * theirs.std()


@pytest.mark.parametrize("variant", sorted(IGNORED))
def test_up_to_the_window_logits_are_llama_cpps(tmp_path: Path, variant: str) -> None:
    window = VARIANTS[variant][2]["sliding_window"]
    save_variant(variant, tmp_path / "tiny")
    gk.convert(tmp_path / "tiny", tmp_path / "m.gguf", type="f32")
    ours, theirs = (each[:window] for each in logits(tmp_path / "m.gguf"))
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < BOUND * theirs.std()
