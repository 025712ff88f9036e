"""llama.cpp's logits of windows of tokens: `peer_logits.py MODEL TOKENS.npy LOGITS.npy`."""

from __future__ import annotations

import sys

import llama_cpp
import numpy as np


def main(model: str, tokens: str, logits: str) -> None:
    """Each window is prefilled into an empty context."""
    windows = np.load(tokens)
    size = windows.shape[1]
    llama = llama_cpp.Llama(model, n_ctx=size, n_batch=size, logits_all=True, verbose=False)
    found = []
    for window in windows:
        llama.reset()
        llama.eval(window.tolist())
        found.append(llama.scores[:size].copy())
    np.save(logits, np.concatenate(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
