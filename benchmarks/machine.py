"""The machine that is measured, and its limits."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

_HERE = Path(__file__).parent
_PROBE = _HERE / "native" / "probe.cpp"
_COMPILER = os.environ.get("CXX", "c++")

# Instruction sets that decide which kernels run.
_FLAGS = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
    "amx_bf16", "asimddp", "i8mm",
)  # fmt: skip

# Buffers have at least so many MiB, and so many last-level caches: too much for any cache.
_MEGABYTES, _CACHES = 512, 4

# Runs of each of the probe's methods; it takes their median.
_ROUNDS = 7

Probe = dict[str, dict[str, float]]


def facts(versions: dict[str, str]) -> dict[str, Any]:
    """CPU, instruction sets, compiler, versions; `versions` are the peers'."""
    from ggmlkit import __version__, _core

    info = Path("/proc/cpuinfo")
    cpu = info.read_text() if info.exists() else ""
    flags = set(_field(cpu, "flags|Features").split())
    model = "/".join(_field(cpu, name) for name in ("cpu family", "model", "stepping"))
    return {
        "cpu": f"{_field(cpu, 'model name') or platform.processor()} ({model})",
        "cores": len(os.sched_getaffinity(0)),
        "last-level cache": f"{cache_bytes() / 2**20:.0f} MiB",
        "flags": " ".join(flag for flag in _FLAGS if flag in flags),
        "system": platform.platform(),
        "compiler": _output(_COMPILER, "--version").partition("\n")[0],
        "python": f"{platform.python_version()}, numpy {np.__version__}",
        "ggmlkit": f"{__version__}, kernels {_core.isa()}",
        **versions,
    }


def commit() -> str:
    """The sources' commit, marked if they differ from it; results don't count."""
    here = ("git", "-C", str(_HERE))
    name = _output(*here, "rev-parse", "--short", "HEAD") or "unknown"
    results = (f":!{name}" for name in ("*.json", "RESULTS.md", "*.png"))
    status = ("status", "--porcelain", "--untracked-files=no", "--", ":/", *results)
    return f"{name}-dirty" if _output(*here, *status) else name


def load() -> float:
    """Processes that wanted a core, on average over the last minute."""
    return round(os.getloadavg()[0], 1)


def cache_bytes() -> int:
    """The size of the last-level cache as the system reports it; 0 if it doesn't."""
    sizes = [_output("getconf", f"LEVEL{level}_CACHE_SIZE") for level in (2, 3, 4)]
    return max((int(size) for size in sizes if size.isdigit()), default=0)


def probe(threads: int, folder: Path) -> Probe:
    """The native probe's numbers, kind → method → G/s; compiled for this machine if need be."""
    program = folder / "probe"
    sources = list(_PROBE.parent.iterdir())
    newest = max(source.stat().st_mtime for source in sources)
    if not program.exists() or program.stat().st_mtime < newest:
        options = ["-O3", "-march=native", "-std=c++17", "-pthread"]
        subprocess.run([_COMPILER, *options, str(_PROBE), "-o", str(program)], check=True)
    megabytes = max(_MEGABYTES, _CACHES * cache_bytes() >> 20)
    command = [str(program), str(threads), str(megabytes), str(_ROUNDS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: Probe = json.loads(done.stdout)
    return found


def peaks(found: Probe) -> dict[str, float]:
    """The fastest method of each kind."""
    return {kind: max(methods.values()) for kind, methods in found.items()}


def _field(text: str, name: str) -> str:
    found = re.search(rf"^(?:{name})\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
