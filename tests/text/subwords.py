"""Small Unigram and WordPiece vocabularies, and llama.cpp's results for texts with them.

tests/data/llama_cpp_subwords.json holds both vocabularies as gguf keys, and for each setting the
ids with and without special tokens, and the text of the latter, that llama.cpp of October 2026 gave
(llama_tokenize and llama_detokenize of a file with these keys, written by the gguf package).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from paths import DATA

_RECORDED = json.loads((DATA / "llama_cpp_subwords.json").read_text("utf-8"))


def keys(model: str, **settings: Any) -> dict[str, Any]:
    """The gguf keys of the recorded vocabulary."""
    found = {"tokenizer.ggml.model": model, **_RECORDED[model]}
    compiled = found.get("tokenizer.ggml.precompiled_charsmap")
    if compiled is not None:
        found["tokenizer.ggml.precompiled_charsmap"] = np.array(compiled, np.uint8)
    return {**found, **{f"tokenizer.ggml.{name}": value for name, value in settings.items()}}


def runs(model: str) -> list[dict[str, Any]]:
    """llama.cpp's results: ``settings``, and ``cases`` of text, ids, plain ids, their text."""
    return [run for run in _RECORDED["runs"] if run["model"] == model]
