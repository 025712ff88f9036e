"""What the numbers were taken on, and how fast its memory is."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from measure import seconds

# Beyond the caches of the servers we know, of which the largest have 260 MB or more.
_BYTES = 1 << 30

# Instruction sets that decide which kernels run.
_FLAGS = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
    "amx_int8", "asimddp", "i8mm",
)  # fmt: skip


def facts(peer: Path | None) -> dict[str, Any]:
    """CPU, instruction sets, compilers, commits."""
    from ggmlkit import __version__, _core

    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    flags = set(_field(cpu, "flags|Features").split())
    return {
        "cpu": _field(cpu, "model name") or platform.processor(),
        "family_model_stepping": "/".join(
            _field(cpu, name) for name in ("cpu family", "model", "stepping")
        ),
        "cores": len(os.sched_getaffinity(0)),
        "l3": _output("getconf", "LEVEL3_CACHE_SIZE"),
        "flags": [flag for flag in _FLAGS if flag in flags],
        "system": platform.platform(),
        "compiler": _output("c++", "--version").splitlines()[:1],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "ggmlkit": {
            "version": __version__,
            "commit": _output("git", "describe", "--always", "--dirty", "--exclude", "*"),
            "kernels": _core.isa(),
        },
        "llama.cpp": _peer_version(peer) if peer else None,
    }


def bandwidth(threads: int, rounds: int = 5) -> dict[str, float]:
    """GB/s of reading (a dot product's two streams), writing (a fill) and copying 1 GiB in all.

    Copying counts the bytes read plus the bytes written.
    """
    one = np.ones(_BYTES // 8, np.float32)
    two = np.ones(_BYTES // 8, np.float32)
    parts = [slice(i * one.size // threads, (i + 1) * one.size // threads) for i in range(threads)]

    def timed(work: Any) -> float:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))
            times = [seconds(lambda: list(pool.map(work, parts))) for _ in range(rounds)]
        return statistics.median(times)

    return {
        "read": _BYTES / timed(lambda part: np.dot(one[part], two[part])) / 1e9,
        "write": one.nbytes / timed(lambda part: np.copyto(one[part], np.float32(0))) / 1e9,
        "copy": _BYTES / timed(lambda part: np.copyto(one[part], two[part])) / 1e9,
    }


def _field(text: str, name: str) -> str:
    found = re.search(rf"^(?:{name})\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _peer_version(peer: Path) -> str:
    """What the peer's own tools say they are."""
    done = subprocess.run(
        [peer / "llama-bench", "--version"], capture_output=True, text=True, check=False
    )
    said = re.search(r"version.*", done.stdout + done.stderr)
    return said[0] if said else "unknown version"
