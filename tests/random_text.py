"""Text that a tiny model reads as well as any other: random letters, the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def letters(count: int, seed: int = 2) -> str:
    """So many characters."""
    return "".join(np.random.default_rng(seed).choice(list("abcdefgh ijklmno,.\n"), count))


def text_file(folder: Path, count: int) -> Path:
    """A file of so many characters."""
    path = folder / "text.txt"
    path.write_text(letters(count))
    return path
