"""Bits, files and logits against llama.cpp, where it is at hand (see conftest)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit.io.imatrix import Imatrix, ImatrixEntry, read_imatrix, save_imatrix
from ggmlkit.quantization.mixtures import MIXTURES
from libggml import Libggml, find
from shapes import Shape, write_random

BLOCKS = 1_000_000
TYPES = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"]
PURE = ["q4_0", "q5_0", "q8_0"]
PURE_BYTES = [*PURE, "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs", "tq1_0"]

# Logits span about ±25. For float files the sums differ in order only, and llama.cpp rounds
# activations to float16 beside f16 weights.
FLOAT_TOLERANCE = {"f32": 0.05, "f16": 0.1}

# Beside quantized weights both round activations to 8 bits, each in its own way, and this model
# makes rms errors of 0.3–0.5 of that: so near each other they need not be, but ours must not be
# further from exact activations than theirs, give or take what one prompt's luck does.
ERROR_RATIO = 1.5

PROMPT = "The capital of France is Paris, and that of Italy is"


@pytest.fixture(scope="module")
def libggml(llama_bin: Path) -> Libggml:
    return Libggml(find(llama_bin))


def awkward_rows(type: str, seed: int) -> NDArray[np.float32]:
    """float32 ``(BLOCKS, 32)``: an eighth each of eight kinds, in turn."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((BLOCKS, 32), np.float32)
    kinds = np.arange(BLOCKS) % 8
    x[kinds == 1] = 0
    x[kinds == 2] *= np.float32(1e-41)  # subnormal
    x[kinds == 3] = np.copysign(np.float32(0.7), x[kinds == 3])  # ties of both signs
    x[kinds == 4] *= np.float32(65504)
    x[kinds == 5] = np.round(x[kinds == 5] * 8) / 8  # repeated magnitudes, halves when scaled
    x[kinds == 6] *= np.float32(1e-7)  # scales subnormal in half precision
    x[kinds == 7, ::3] = 0
    # Types with an offset store it in half precision.
    return np.clip(x, -65504, 65504) if type.endswith("_1") else x


@pytest.mark.parametrize("type", TYPES)
def test_quantized_bits_are_libggmls(libggml: Libggml, type: str) -> None:
    x = awkward_rows(type, seed=TYPES.index(type))
    ours = gk.quantize(x, type).data
    theirs = np.empty_like(ours)
    libggml.quantize(type, x, theirs)
    differing = np.flatnonzero((ours != theirs).reshape(BLOCKS, -1).any(axis=1))
    assert differing.size == 0, f"first: block {differing[0]}, {x[differing[0]]}"


@pytest.mark.parametrize("type", TYPES)
def test_dequantized_bits_are_libggmls(libggml: Libggml, type: str) -> None:
    data = gk.quantize(awkward_rows(type, seed=100 + TYPES.index(type)), type).data
    theirs = np.empty((BLOCKS, 32), np.float32)
    libggml.dequantize(type, data, theirs)
    ours = gk.Tensor(type, theirs.shape, data).dequantize()
    assert np.array_equal(ours.view(np.uint32), theirs.view(np.uint32))


@pytest.mark.parametrize("type", PURE_BYTES)
def test_pure_file_has_llama_quantizes_bytes(
    llama_bin: Path, f16_model: Path, tmp_path: Path, type: str
) -> None:
    theirs = tmp_path / "theirs.gguf"
    command = [str(llama_bin / "llama-quantize"), "--pure", str(f16_model), str(theirs), type]
    subprocess.run(command, check=True, capture_output=True)
    ours = tmp_path / "ours.gguf"
    gk.quantize_file(f16_model, ours, type, pure=True)
    with gk.open(ours) as one, gk.open(theirs) as other:
        assert set(one.names) == set(other.names)
        for name in one.names:
            assert one[name].type == other[name].type, name
            assert np.array_equal(one[name].data, other[name].data), name


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose rows are blocks of every type, with as many layers as mixtures tell."""
    path = tmp_path_factory.mktemp("wide") / "wide-f16.gguf"
    shape = Shape(dim=256, layers=17, heads=8, kv_heads=2, ffn=512, vocab=512, tied=False)
    write_random(shape, "f16", path)
    return path


MIXED = [*MIXTURES, "q6_K", "q4_0", "q5_1", "tq1_0"]
# llama-quantize refuses these without one.
NEEDS_IMATRIX = {"q2_K_S", *(n for n in MIXTURES if n[:3] in ("iq1", "iq2") or n[:6] == "iq3_xx")}
NEEDS_IMATRIX.add("iq3_xs")


@pytest.mark.parametrize(
    ("name", "weighted"),
    [
        *(pytest.param(n, False, id=f"{n}-plain") for n in MIXED if n not in NEEDS_IMATRIX),
        *(pytest.param(n, True, id=f"{n}-imatrix") for n in MIXED),
    ],
)
def test_mixed_file_is_llama_quantizes(
    llama_bin: Path, wide_model: Path, tmp_path: Path, name: str, weighted: bool
) -> None:
    theirs, ours = tmp_path / "theirs.gguf", tmp_path / "ours.gguf"
    options, importance = ["--tensor-type", "attn_k=q8_0"], None
    if weighted:
        importance = read_imatrix(an_imatrix(wide_model, tmp_path)).importance
        options += ["--imatrix", str(tmp_path / "imatrix.gguf")]
    command = [str(llama_bin / "llama-quantize"), *options, str(wide_model), str(theirs), name]
    subprocess.run(command, check=True, capture_output=True)
    gk.quantize_file(
        wide_model, ours, name, tensor_types=[("attn_k", "q8_0")], importance=importance
    )
    with gk.open(ours) as one, gk.open(theirs) as other:
        assert one.metadata["general.file_type"] == other.metadata["general.file_type"]
        assert {n: str(one[n].type) for n in one} == {n: str(other[n].type) for n in other}
        differing = [n for n in one if not np.array_equal(one[n].data, other[n].data)]
        assert differing == []


def an_imatrix(model: Path, folder: Path) -> Path:
    path = folder / "imatrix.gguf"
    rng = np.random.default_rng(5)
    with gk.open(model) as file:
        entries = {
            name: ImatrixEntry(
                rng.gamma(0.5, 1.0, (1, t.shape[-1])).astype(np.float32), np.ones(1, np.float32)
            )
            for name, t in file.items()
            if len(t.shape) == 2
        }
    save_imatrix(path, Imatrix(entries))
    return path


@pytest.mark.parametrize("type", FLOAT_TOLERANCE)
def test_float_logits_are_llama_cpps(f16_model: Path, tmp_path: Path, type: str) -> None:
    path = tmp_path / "ours.gguf"
    gk.quantize_file(f16_model, path, type, pure=True)
    ours, theirs = both_logits(path)
    assert np.abs(ours - theirs).max() < FLOAT_TOLERANCE[type]


@pytest.mark.parametrize("type", PURE)
def test_quantized_logits_are_as_exact_as_llama_cpps(
    f16_model: Path, tmp_path: Path, type: str
) -> None:
    path, unpacked = tmp_path / "ours.gguf", tmp_path / "unpacked.gguf"
    gk.quantize_file(f16_model, path, type, pure=True)
    gk.quantize_file(path, unpacked, "f32", pure=True)
    ours, theirs = both_logits(path)
    _, exact = both_logits(unpacked)  # the same weights, activations not rounded
    assert rms(ours - exact) < ERROR_RATIO * rms(theirs - exact)


def both_logits(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ours and llama.cpp's for the prompt, float32 ``(tokens, vocabulary)`` each."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    llama = gk.Llama(path, context=64, threads=1)
    tokens = llama.tokenizer.encode(PROMPT)
    peer = llama_cpp.Llama(str(path), n_ctx=64, logits_all=True, n_threads=1, verbose=False)
    peer.eval(tokens)
    return llama.logits(tokens), peer.scores[: len(tokens)]


def rms(error: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))
