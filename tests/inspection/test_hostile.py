"""On damaged files every command succeeds or raises a GgmlkitError, and does so soon."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.inspection.compare import compare_files
from ggmlkit.inspection.repair import repair_file
from ggmlkit.inspection.verify import verify_file
from ggmlkit.io.gguf.metadata_edit import edit_metadata
from ggmlkit.io.gguf.split import merge_files, split_file
from ggmlkit.io.imatrix import read_imatrix, save_imatrix
from ggmlkit.tensor import Tensor
from paths import GOLDEN

MUTATIONS = 150


def imatrix_dat() -> bytes:
    entries = b"".join(
        struct.pack("<i", len(name)) + name + struct.pack("<2i4f", 3, 4, 1, 2, 3, 4)
        for name in (b"blk.0.attn_q.weight", b"output.weight")
    )
    return struct.pack("<i", 2) + entries + struct.pack("<2i", 5, 4) + b"text"


def imatrix_gguf(folder: Path) -> bytes:
    (folder / "source").write_bytes(imatrix_dat())
    save_imatrix(folder / "source.gguf", read_imatrix(folder / "source"))
    return (folder / "source.gguf").read_bytes()


def small_gguf(folder: Path) -> bytes:
    tensors = [
        Tensor("f32", (2, 8), np.zeros(64, np.uint8), "first"),
        Tensor("q4_0", (1, 32), np.zeros(18, np.uint8), "second"),
    ]
    metadata = {"general.name": "a", "n": 1, "tokenizer.ggml.tokens": ["x"]}
    io.save(folder / "source.gguf", tensors, metadata)
    return (folder / "source.gguf").read_bytes()


SOURCES: dict[str, Callable[[Path], bytes]] = {
    "imatrix.dat": lambda _: imatrix_dat(),
    "imatrix.gguf": imatrix_gguf,
    "small.gguf": small_gguf,
    "ggla": lambda _: (GOLDEN / "lora-ggla.bin").read_bytes()[:3000],
    "ggjt": lambda _: (GOLDEN / "ggjt-v3-q4_0.bin").read_bytes()[:40000],
}


def works(path: Path, folder: Path) -> list[Callable[[], Any]]:
    """Everything that can be done with one file."""
    return [
        lambda: read_imatrix(path),
        lambda: verify_file(path, sha256=True),
        lambda: compare_files(path, path),
        lambda: repair_file(path, folder / "repaired"),
        lambda: split_file(path, folder / "part", max_tensors=1),
        lambda: merge_files(path, folder / "merged"),
        lambda: edit_metadata(path, {"general.name": "other"}),
    ]


@pytest.mark.parametrize("name", SOURCES)
def test_random_mutations(tmp_path: Path, name: str) -> None:
    raw = SOURCES[name](tmp_path)
    rng = np.random.default_rng(sum(name.encode()))
    path = tmp_path / "mutant"
    for _ in range(MUTATIONS):
        mutant = bytearray(raw)
        span = min(len(raw), int(rng.choice([32, 256, 10_000])))
        for _ in range(int(rng.integers(1, 4))):
            mutant[int(rng.integers(0, span))] = int(rng.choice([0, 1, 127, 128, 255]))
        if rng.integers(0, 3) == 0:
            del mutant[int(rng.integers(0, len(mutant))) :]
        for work in works(path, tmp_path):
            path.write_bytes(mutant)
            with suppress(gk.GgmlkitError):
                work()


@pytest.mark.parametrize("value", [0, 1, 2**15, 2**31 - 1, 2**32 - 1])
def test_parts_with_fields_at_their_extremes(tmp_path: Path, value: int) -> None:
    """Every 32 bits of the second part's header replaced."""
    parts = split_file(GOLDEN / "gguf-v1-q4_0.bin", tmp_path / "m", max_tensors=10)
    raw = parts[1].read_bytes()
    for place in range(4, 700, 3):
        parts[1].write_bytes(raw[:place] + struct.pack("<I", value) + raw[place + 4 :])
        for part in parts[:2]:
            with suppress(gk.FormatError):
                io.open(part).close()
