"""Files of a base's predictions, and what reads them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.errors import FormatError
from ggmlkit.evaluation.bases import open_saved
from ggmlkit.evaluation.choice_lines import read_questions
from ggmlkit.evaluation.distributions import RECORD, log_softmax
from ggmlkit.evaluation.evaluating import perplexity
from ggmlkit.evaluation.state_file import StateFile
from ggmlkit.evaluation.text_chunks import TextChunks
from paths import GOLDEN

_TEXT = "Some words, again and again and again and again and again."
_CONTEXT, _CHUNKS, _POSITIONS = 8, 2, 3


def save_top(path: Path) -> None:
    """Our compact form."""
    _evaluate(save_top=path, top=7)


def save_all(path: Path) -> None:
    """llama-perplexity's form."""
    _evaluate(save_all=path)


def state(path: Path) -> None:
    """What an evaluation has found so far."""
    with StateFile(path, "of", _POSITIONS) as file:
        for chunk in range(_CHUNKS):
            file.append(_text(), chunk, np.ones(_POSITIONS, RECORD))


def questions(path: Path) -> None:
    """Lines of both shapes."""
    path.write_text(
        '{"ctx": "a", "endings": ["b", "c"], "label": "1"}\n\n'
        '{"activity_label": "x", "ctx_a": "a", "ctx_b": "b [c]", "endings": ["d"]}\n'
    )


def read_predictions(path: Path) -> None:
    """Compare a model's predictions with all of a file's."""
    saved = open_saved(path)
    if saved is None:
        raise FormatError(path, 0, "no predictions")
    with saved:
        chunks, context = saved.tokens.shape
        assert chunks * context < 1 << 16
        logits = np.zeros((saved.positions, saved.vocab), np.float32)
        for chunk in range(chunks):
            targets = saved.tokens[chunk, context // 2 + 1 :]
            predicted = saved.distribution(chunk, 0, saved.positions)
            predicted.compare(slice(0, saved.positions), log_softmax(logits), targets)


def read_state(path: Path) -> None:
    """Take up the work again."""
    with StateFile(path, "of", _POSITIONS) as file:
        assert len(file.read(_text())) <= _CHUNKS


def read_lines(path: Path) -> None:
    assert read_questions(path)


def _evaluate(**settings: object) -> None:
    given: dict[str, Any] = {"context": _CONTEXT, "chunks": _CHUNKS, "threads": 1, **settings}
    perplexity(GOLDEN / "gguf-v1-f16.bin", _TEXT, **given)


@cache
def _text() -> TextChunks:
    return TextChunks(np.arange(_CHUNKS * _CONTEXT, dtype=np.int32).reshape(_CHUNKS, -1), 1)
