"""Importance matrices beside llama-imatrix's: the same numbers, and files that both read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from command import ggmlkit
from ggmlkit.io.imatrix import Imatrix

SIZE, CHUNKS = 128, 3
# llama.cpp rounds activations to float16 beside float16 weights; sums of squares differ by less.
TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    words = "The sea, the ships and their {} crews: an account of 1841, by a captain's son.\n\n"
    path.write_text("".join(words.format(f"{n} brave, seasick or sleeping") for n in range(40)))
    return path


def llama_imatrix(llama_bin: Path, *words: object) -> None:
    command = [str(llama_bin / "llama-imatrix"), *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)


def assert_alike(ours: Imatrix, theirs: Imatrix, tolerance: float = TOLERANCE) -> None:
    assert ours.entries.keys() == theirs.entries.keys()
    assert ours.datasets == theirs.datasets
    assert (ours.chunk_count, ours.chunk_size) == (theirs.chunk_count, theirs.chunk_size)
    for name, entry in theirs.entries.items():
        own = ours.entries[name]
        assert np.array_equal(own.counts, entry.counts), name
        assert own.sums.shape == entry.sums.shape
        assert np.abs(own.sums - entry.sums).max() <= tolerance * entry.sums.max(), name


def test_the_numbers_are_llama_imatrixs(
    llama_bin: Path, f16_model: Path, text: Path, tmp_path: Path
) -> None:
    words = ("-m", f16_model, "-f", text, "-c", SIZE, "--chunks", CHUNKS, "--no-ppl", "-b", SIZE)
    llama_imatrix(llama_bin, *words, "-o", tmp_path / "theirs.gguf")
    ggmlkit("imatrix", *words, "-o", tmp_path / "ours.gguf")
    ours, theirs = (gk.read_imatrix(tmp_path / f"{who}.gguf") for who in ("ours", "theirs"))
    assert_alike(ours, theirs)


def test_files_are_read_joined_and_turned_alike(
    llama_bin: Path, f16_model: Path, text: Path, tmp_path: Path
) -> None:
    one, old = tmp_path / "one.gguf", tmp_path / "one.dat"
    ggmlkit("imatrix", "-m", f16_model, "-f", text, "-c", SIZE, "--chunks", 2, "-o", one)
    ggmlkit("imatrix", "--in-file", one, "-c", SIZE, "-o", old)
    size = ("-c", SIZE, "-m", f16_model)  # which it asks for, and doesn't read
    turned = ("--in-file", one, "--output-format", "dat", "-o", tmp_path / "t.dat")
    llama_imatrix(llama_bin, *size, *turned)
    assert (tmp_path / "t.dat").read_bytes() == old.read_bytes()
    both = ("--in-file", one, "--in-file", old)
    ggmlkit("imatrix", *both, "-c", SIZE, "-o", tmp_path / "ours.gguf")
    llama_imatrix(llama_bin, *both, *size, "-o", tmp_path / "theirs.gguf")
    ours, theirs = (gk.read_imatrix(tmp_path / f"{who}.gguf") for who in ("ours", "theirs"))
    assert_alike(ours, theirs, tolerance=1e-6)
