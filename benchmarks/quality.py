"""The cost of quantized activations: KL divergence to the same weights with float32 ones."""

from __future__ import annotations

import argparse
import decimal
import fractions
import inspect
import logging
import os
import pdb
import pickletools
import statistics
import string
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk
from bench import Bench, Outcome, Step
from ggmlkit.engine.model import ACTIVATION_BITS
from inputs import REAL
from measure import OURS, Comparison
from peers import LLAMA_CPP

# Python's modules and classes whose documentation is the English text.
_DOCUMENTED = (
    pickletools, pdb, decimal, argparse, statistics, logging, tempfile, string, tarfile, fractions,
    pickletools.StackObject, pickletools.OpcodeInfo, decimal.Context, logging.Formatter,
    logging.Logger.findCaller, string.Formatter, tempfile.NamedTemporaryFile,
)  # fmt: skip

# Windows of the text, each prefilled into an empty context.
_WINDOW, _WINDOWS = 512, 4

_PEER_LOGITS = Path(__file__).parent / "peer_logits.py"


def steps(bench: Bench) -> list[Step]:
    """Each type of weights."""
    return [Step(f"quality {type}", partial(_divergence, bench, type)) for type in bench.types]


def _divergence(bench: Bench, type: str) -> Outcome:
    path = bench.inputs.model(REAL, type)
    floats = bench.folder / f"{REAL}-{type}-as-f32.gguf"
    if not floats.exists():
        gk.quantize_file(path, floats, "f32", pure=True)
    tokens = windows(gk.Llama(floats).tokenize(english()))
    exact = _our_logits(floats, tokens)
    theirs: dict[str, list[float]] = {}
    notes = []
    try:
        theirs[LLAMA_CPP] = [kl_divergence(exact, _llama_cpp_logits(bench, path, tokens))]
    except (OSError, subprocess.CalledProcessError) as error:
        notes.append(f"{LLAMA_CPP}: {getattr(error, 'stderr', '') or error}".strip()[-200:])
    lines = []
    for bits in ACTIVATION_BITS:
        ours = kl_divergence(exact, _our_logits(path, tokens, bits))
        work = f"{REAL} {type}, {tokens.size} tokens of English, activation_bits={bits}"
        samples = {OURS: [ours], **theirs}
        lines.append(
            Comparison(
                "Quality",
                work,
                "mean KL divergence, ‰ of a nat",
                max(bench.threads),
                samples,
                goal=1.0,
                less=True,
            )
        )
    floats.unlink()
    return Outcome(lines, notes)


def kl_divergence(exact: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Mean over rows of KL(exact ‖ other) of logits ``(n, vocabulary)``, in thousandths."""
    total = 0.0
    for start in range(0, len(exact), _WINDOW):  # double precision takes memory
        rows = slice(start, start + _WINDOW)
        p, q = log_softmax(exact[rows]), log_softmax(other[rows])
        total += float(np.sum(np.exp(p) * (p - q)))
    return 1e3 * total / len(exact)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of each row, in double precision: the divergences are small differences."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    logarithms: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return logarithms


def english() -> str:
    """The documentation of some modules and classes of Python's library."""
    return "\n\n".join(inspect.getdoc(thing) or "" for thing in _DOCUMENTED)


def windows(tokens: list[int]) -> NDArray[np.int32]:
    """The first tokens, int32 ``(windows, window)``."""
    needed = _WINDOW * _WINDOWS
    if len(tokens) < needed:
        raise ValueError(f"the text has {len(tokens)} tokens, but {needed} are needed")
    return np.array(tokens[:needed], np.int32).reshape(_WINDOWS, _WINDOW)


def _our_logits(path: Path, tokens: NDArray[np.int32], bits: int = 8) -> NDArray[np.float32]:
    """Logits of our engine; with float weights, `bits` changes nothing."""
    llama = gk.Llama(path, context=_WINDOW, activation_bits=bits)
    return np.concatenate([llama.logits(window) for window in tokens])


def _llama_cpp_logits(bench: Bench, path: Path, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
    """Logits of llama.cpp, from the binding of the same build in its own process."""
    given, made = bench.folder / "tokens.npy", bench.folder / "logits.npy"
    np.save(given, tokens)
    environment = dict(os.environ)
    if bench.peers.binding:
        environment["PYTHONPATH"] = str(bench.peers.binding)
        environment["LLAMA_CPP_LIB_PATH"] = str(bench.peers.folders[LLAMA_CPP])
    command = [sys.executable, str(_PEER_LOGITS), str(path), str(given), str(made)]
    subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    logits: NDArray[np.float32] = np.load(made)
    made.unlink()
    return logits
