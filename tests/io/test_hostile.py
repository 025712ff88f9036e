"""Damaged files give a result or a FormatError, quickly and with little memory."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import io
from ggmlkit.tensor import Tensor
from paths import GOLDEN

STEMS = [
    "gguf-v1-q4_0",
    "gguf-v3-be-f16",
    "ggjt-v3-q4_0",
    "ggjt-v1-q4_2",
    "ggml-q4_1",
    "ggmf-v1-f16",
]
MUTATIONS = 600


def survives(path: Path) -> bool:
    """Whether the file opens and all its data can be read; otherwise it must be FormatError or,
    for a tensor of an unknown type, UnsupportedTypeError."""
    try:
        with io.open(path) as file:
            for tensor in file.tensors.values():
                assert tensor.data.size == tensor.nbytes
    except (gk.FormatError, gk.UnsupportedTypeError) as fault:
        error = fault
    else:
        return True
    assert str(path) in str(error)
    if isinstance(error, gk.UnsupportedTypeError):
        assert "has type number" in str(error)
        return False
    assert error.reason
    assert error.offset is None or 0 <= error.offset <= path.stat().st_size
    return False


def small_gguf(path: Path) -> int:
    """A gguf with every kind of value; returns where its data begins."""
    metadata = {
        "general.architecture": "llama",
        "n": 1,
        "f": 1.5,
        "yes": True,
        "texts": ["a", "bc", ""],
        "numbers": np.arange(4, dtype=np.int16),
        "nested": [[1, 2], ["x"]],
    }
    tensors = [
        Tensor("f32", (2, 8), np.zeros(64, np.uint8), "first"),
        Tensor("q4_0", (1, 32), np.zeros(18, np.uint8), "second"),
    ]
    io.save(path, tensors, metadata)
    return path.stat().st_size - 64 - 32


def small_ggjt(path: Path) -> int:
    """A ggjt; returns where its last tensor's data begins."""
    pieces = ["<unk>", "<s>", "</s>", "▁a"]
    metadata = {
        "general.architecture": "llama",
        "llama.embedding_length": 32,
        "llama.block_count": 1,
        "llama.feed_forward_length": 256,
        "llama.attention.head_count": 1,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": [0.0] * 4,
        "tokenizer.ggml.token_type": [2, 3, 3, 1],
    }
    tensors = [
        Tensor("q4_0", (4, 32), np.zeros(72, np.uint8), "tok_embeddings.weight"),
        Tensor("f32", (32,), np.zeros(128, np.uint8), "norm.weight"),
        Tensor("f16", (4, 32), np.zeros(256, np.uint8), "output.weight"),
    ]
    io.save(path, tensors, metadata)
    return path.stat().st_size - 256


@pytest.mark.parametrize("make", [small_gguf, small_ggjt])
def test_every_truncation_of_the_header_is_reported(tmp_path: Path, make: object) -> None:
    whole = tmp_path / "whole.bin" if make is small_ggjt else tmp_path / "whole.gguf"
    data_start = make(whole)  # type: ignore[operator]
    assert survives(whole)
    raw = whole.read_bytes()
    cut = tmp_path / "cut"
    survivors = []
    for length in range(data_start + 1):
        cut.write_bytes(raw[:length])
        if survives(cut):
            survivors.append(length)
    if make is small_gguf:
        assert survivors == []
    else:
        # A file of this container can end after any tensor, as it doesn't store their number.
        assert len(survivors) == 3
        with io.open(whole) as file:
            assert len(file) == 3


@pytest.mark.parametrize("stem", ["gguf-v1-q4_0", "ggjt-v3-q4_0"])
def test_truncations_of_a_real_header_are_reported(tmp_path: Path, stem: str) -> None:
    raw = (GOLDEN / f"{stem}.bin").read_bytes()
    header = 9000 if stem.startswith("gguf") else 5400
    cut = tmp_path / "cut"
    survivors = []
    for length in range(0, header, 5):
        cut.write_bytes(raw[:length])
        if survives(cut):
            survivors.append(length)
    assert len(survivors) <= 1  # ggjt: the very end of the vocabulary, with no tensors


@pytest.mark.parametrize("stem", STEMS)
def test_random_mutations(tmp_path: Path, stem: str) -> None:
    raw = (GOLDEN / f"{stem}.bin").read_bytes()
    rng = np.random.default_rng(sum(stem.encode()))
    path = tmp_path / "mutant"
    for _ in range(MUTATIONS):
        mutant = bytearray(raw)
        # Most damage is near the start, where the structure is.
        span = int(rng.choice([64, 1024, 12000, len(raw)]))
        for _ in range(int(rng.integers(1, 5))):
            place = int(rng.integers(0, span))
            mutant[place] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(0, 256)]))
        if rng.integers(0, 4) == 0:
            del mutant[int(rng.integers(0, len(mutant))) :]
        path.write_bytes(mutant)
        survives(path)


@pytest.mark.parametrize("make", [small_gguf, small_ggjt])
@pytest.mark.parametrize("value", [0, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1])
def test_every_field_at_its_extremes(tmp_path: Path, make: object, value: int) -> None:
    whole = tmp_path / "whole.bin" if make is small_ggjt else tmp_path / "whole.gguf"
    data_start = make(whole)  # type: ignore[operator]
    raw = whole.read_bytes()
    width = 4 if value < 2**32 else 8
    field = value.to_bytes(width, "little")
    path = tmp_path / "mutant"
    tracemalloc.start()
    try:
        for place in range(4, data_start - width):
            path.write_bytes(raw[:place] + field + raw[place + width :])
            survives(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def gguf_header(tensors: int, pairs: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + rest


def text(raw: bytes) -> bytes:
    return struct.pack("<Q", len(raw)) + raw


def entry(name: bytes, sizes: list[int], kind: int = 0, offset: int = 0) -> bytes:
    sizes_raw = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    return text(name) + sizes_raw + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"GG", "known model file"),
        (b"GGUF" + struct.pack("<I", 4) + bytes(16), "version 4"),
        (gguf_header(0, 2**64 - 1), "can't fit"),
        (gguf_header(2**63, 0), "can't fit"),
        (gguf_header(0, 1, text(b"\xff") + struct.pack("<II", 4, 1)), "UTF-8"),
        (gguf_header(0, 2, 2 * (text(b"k") + struct.pack("<II", 4, 1))), "twice"),
        (gguf_header(0, 1, text(b"k") + struct.pack("<II", 13, 1)), "value type 13"),
        (gguf_header(0, 1, text(b"k") + struct.pack("<IB", 7, 2) + bytes(8)), "neither 0 nor 1"),
        (gguf_header(0, 1, text(b"k") + struct.pack("<IIQ", 9, 8, 2**62)), "can't fit"),
        (gguf_header(0, 1, text(b"k") + struct.pack("<IIQ", 9, 5, 2**62)), "ends after"),
        (
            gguf_header(0, 1, text(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 50),
            "nests",
        ),
        (
            gguf_header(0, 1, text(b"general.alignment") + struct.pack("<II", 4, 0) + bytes(4)),
            "power of two",
        ),
        (gguf_header(1, 0, entry(b"t", [1] * 5) + bytes(64)), "5 sizes"),
        (gguf_header(1, 0, entry(b"t", [2**62, 2**62]) + bytes(64)), "impossible shape"),
        (gguf_header(1, 0, entry(b"t", [2**62, 0]) + bytes(64)), "impossible shape"),
        (gguf_header(1, 0, entry(b"t", [2**40]) + bytes(64)), "has only"),
        (gguf_header(1, 0, entry(b"t", [8], 0, 2**63) + bytes(64)), "has only"),
        (gguf_header(1, 0, entry(b"t", [8], 0, 3) + bytes(64)), "multiple of 32"),
        (gguf_header(1, 0, entry(b"t", [32], 999, 2**40) + bytes(64)), "has only"),
        (gguf_header(1, 0, entry(b"t", [2**62, 2**62], 999) + bytes(64)), "impossible shape"),
        (gguf_header(1, 0, entry(b"t", [32], 31) + bytes(64)), "not a multiple of the 4"),
        (gguf_header(1, 0, entry(b"t", [33], 2) + bytes(64)), "multiple"),
        (gguf_header(2, 0, 2 * entry(b"t", [8]) + bytes(64)), "twice"),
        (b"tjgg" + struct.pack("<I", 4), "version 4"),
        (b"tjgg" + struct.pack("<I7i", 3, 2**31 - 1, 32, 256, 1, 1, 32, 0), "can't fit"),
        (b"tjgg" + struct.pack("<I7i", 3, -1, 32, 256, 1, 1, 32, 0), "n_vocab is -1"),
        (b"lmgg" + struct.pack("<7i", 1, 32, 0, 1, 1, 32, 0), "n_mult is 0"),
    ],
)
def test_each_fault_has_its_reason(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(raw)
    with pytest.raises(gk.FormatError, match=reason) as caught:
        io.open(path)
    assert str(path) in str(caught.value)
