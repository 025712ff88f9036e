"""ggjt v3 files that we write, loaded by ctransformers 0.2.27 (the last reader of that format)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk

ctransformers = pytest.importorskip("ctransformers", reason="ctransformers is not installed")

# It and we sum in another order and round to 8 bits apart: see test_llama_cpp.
TOLERANCE = {"f16": 0.02, "q4_0": 0.1}
TOKENS = 24


@pytest.fixture(params=["f16", "q4_0"])
def ggjt(request: pytest.FixtureRequest, golden: Path, tmp_path: Path) -> tuple[str, Path]:
    """A ggjt v3 file made from a Meta folder of the same number of heads and key-value heads."""
    path = tmp_path / "model.bin"
    if request.param == "f16":
        gk.convert(golden / "meta", path, type="f16")
    else:
        f16 = tmp_path / "f16.gguf"
        gk.convert(golden / "meta", f16, type="f16")
        gk.quantize_file(f16, path, request.param)
    return request.param, path


def test_greedy_tokens_are_the_same(ggjt: tuple[str, Path]) -> None:
    type, path = ggjt
    peer = ctransformers.AutoModelForCausalLM.from_pretrained(str(path), model_type="llama")
    ours = gk.Llama(path, context=128, threads=1)
    prompt = [1, 300, 17, 42, 350]
    peer.eval(prompt)
    logits = ours.eval(prompt)
    for _ in range(TOKENS):
        theirs = np.array(peer.logits)
        assert np.abs(logits - theirs).max() < TOLERANCE[type]
        token = int(np.argmax(logits))
        assert token == int(np.argmax(theirs))
        peer.eval([token])
        logits = ours.eval([token])


def test_tokens_and_text_are_the_same(ggjt: tuple[str, Path]) -> None:
    _, path = ggjt
    peer = ctransformers.AutoModelForCausalLM.from_pretrained(str(path), model_type="llama")
    ours = gk.Tokenizer.from_file(path)
    for text in ["hello world", "a  b", "héllo", "123", ""]:
        ids = ours.encode(text)
        if text.isascii() and text:  # it has room for one token a character, not a byte
            # Its callers put the leading space themselves.
            assert ids == list(peer.tokenize(f" {text}", add_bos_token=True)), text
        assert ours.decode(ids[1:]).strip() == text.strip()
