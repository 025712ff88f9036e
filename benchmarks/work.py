"""The pieces of work: each function measures one on ggmlkit and, if there, on llama.cpp."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from libggml import Libggml
from measure import Comparison, best, compared, interleave, seconds

import ggmlkit as gk

OURS = "ggmlkit"
LLAMA = "llama.cpp"
COPY = "numpy copy"

# 64 MiB of floats in rows as wide as those of a small model.
_SHAPE = (16384, 1024)


def speed(
    f16: Path, type: str, threads: int, folder: Path, peer: Path | None, rounds: int
) -> list[Comparison]:
    """Tokens/s of a prompt of 256 and of making 64, each run a fresh process."""
    model = folder / f"{type}.gguf"
    if not model.exists():
        gk.quantize_file(f16, model, type, pure=True)
    options = ["-m", str(model), "-p", "256", "-n", "64", "-t", str(threads), "-r", "1"]
    systems = {OURS: lambda: _tokens_per_second(_ours("bench", *options, "--json"))}
    if peer:
        bench = str(peer / "llama-bench")
        systems[LLAMA] = lambda: _tokens_per_second([bench, *options, "-o", "json"])
    where = f"{type}, {_threads(threads)}"
    names = {
        "prompt": (f"prompt of 256, {where}", "tokens/s"),
        "decode": (f"decode of 64, {where}", "tokens/s"),
    }
    return compared("Speed of a model", names, interleave(systems, rounds))


def quantize_file(
    f16: Path, type: str, threads: int, folder: Path, peer: Path | None, rounds: int
) -> list[Comparison]:
    """Million weights/s from f16 file to file, whole processes, `--pure`."""
    with gk.open(f16) as file:
        weights = sum(tensor.size for tensor in file.tensors.values()) / 1e6
    ours, theirs = folder / f"ours-{type}.gguf", folder / f"theirs-{type}.gguf"
    count = str(threads)
    command = _ours("quantize", str(f16), str(ours), type, "--pure", "-t", count)
    systems = {OURS: lambda: {"file": weights / seconds(lambda: _quiet(command))}}
    if peer:
        other = [str(peer / "llama-quantize"), "--pure", str(f16), str(theirs), type, count]
        systems[LLAMA] = lambda: {"file": weights / seconds(lambda: _quiet(other))}
    names = {"file": (f"f16 → {type}, {_threads(threads)}", "M weights/s")}
    found = interleave(systems, rounds)
    if peer:
        check_same_tensors(ours, theirs)
        theirs.unlink()
    ours.unlink()
    return compared("Quantize a file", names, found)


def in_memory(type: str, library: Path | None, rounds: int) -> list[Comparison]:
    """Million weights/s in memory on one thread; a copy of the floats for scale."""
    x = np.random.default_rng(1).standard_normal(_SHAPE, np.float32)
    quantized = gk.quantize(x, type, threads=1)
    values = np.empty_like(x)
    data = np.empty_like(quantized.data)
    weights = x.size / 1e6

    def rates(quantize: Callable[[], object], dequantize: Callable[[], object]) -> dict[str, float]:
        return {"quantize": weights / best(quantize), "dequantize": weights / best(dequantize)}

    def copy() -> None:
        np.copyto(values, x)

    systems = {
        OURS: lambda: rates(
            lambda: gk.quantize(x, type, threads=1),
            lambda: quantized.dequantize(out=values, threads=1),
        ),
        COPY: lambda: rates(copy, copy),
    }
    if library:
        peer = Libggml(library)
        systems[LLAMA] = lambda: rates(
            lambda: peer.quantize(type, x, data),
            lambda: peer.dequantize(type, quantized.data, values),
        )
    names = {
        "quantize": (f"quantize to {type}", "M weights/s"),
        "dequantize": (f"dequantize {type}", "M weights/s"),
    }
    return compared("In memory, one thread", names, interleave(systems, rounds))


def check_same_tensors(ours: Path, theirs: Path) -> None:
    """Assert that all tensors have equal types and bytes: both did the same work."""
    with gk.open(ours) as one, gk.open(theirs) as other:
        assert set(one.names) == set(other.names)
        for name in one.names:
            assert one[name].type == other[name].type, name
            assert np.array_equal(one[name].data, other[name].data), name


def _tokens_per_second(command: list[str]) -> Mapping[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    return {"prompt" if r["n_prompt"] else "decode": float(r["avg_ts"]) for r in results}


def _ours(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ggmlkit", *arguments]


def _quiet(command: list[str]) -> None:
    subprocess.run(command, capture_output=True, check=True)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
