"""ggjt files written here load in ctransformers, which still reads that container."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ggmlkit import io
from paths import GOLDEN

ctransformers = pytest.importorskip("ctransformers", reason="ctransformers is not installed")
TOKENS = json.loads((GOLDEN / "manifest.json").read_text())["tokens"]


def logits_and_text(path: Path) -> tuple[np.ndarray, list[int]]:
    """The last logits after TOKENS, and twenty tokens chosen greedily."""
    model = ctransformers.LLM(str(path), model_type="llama")
    model.eval(TOKENS)
    logits = np.array(model.logits)
    greedy = model.generate(TOKENS, top_k=1, temperature=0.0, repetition_penalty=1.0, reset=True)
    return logits, [token for token, _ in zip(greedy, range(20), strict=False)]


@pytest.mark.parametrize("type_name", ["f16", "q4_0", "q5_0", "q8_0"])
def test_ggjt_from_gguf_is_what_its_own_time_wrote(tmp_path: Path, type_name: str) -> None:
    """Bit for bit the logits, and the greedy text, of the file of the same model and type."""
    ours = tmp_path / "model.bin"
    with io.open(GOLDEN / f"gguf-v1-{type_name}.bin") as file:
        io.save(ours, file.tensors, file.metadata)
    logits, text = logits_and_text(ours)
    wanted_logits, wanted_text = logits_and_text(GOLDEN / f"ggjt-v3-{type_name}.bin")
    assert np.array_equal(logits, wanted_logits)
    assert text == wanted_text
