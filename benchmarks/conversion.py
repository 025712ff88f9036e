"""A Hugging Face folder to a model file, beside llama.cpp's converter: time and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench import Bench, Outcome, Step, compared, ours
from inputs import REAL, cost
from measure import OURS, Comparison
from peers import LLAMA_CPP
from processes import differing

_TYPES = ("f16", "q8_0")
_GOAL = 3.0
# Runs a command from a small process: the peak memory that the system reports of a child begins
# with the memory of its parent.
_WATCH = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], capture_output=True, stdin=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
with open(sys.argv[1], "w") as out:
    json.dump(peak, out)
sys.stderr.buffer.write(done.stderr[-2000:])
sys.exit(done.returncode)
"""


def steps(bench: Bench) -> list[Step]:
    """To f16, and to q8_0, which the peer's converter can write as well."""
    return [Step(f"convert {REAL} {type}", partial(_convert, bench, type)) for type in _TYPES]


def _convert(bench: Bench, type: str) -> Outcome:
    """Each with as many threads as it takes by default; tensors are compared byte by byte."""
    written = {system: bench.folder / f"{system}.gguf" for system in (OURS, LLAMA_CPP)}
    commands = {OURS: ours("convert", bench.hf, written[OURS], "--type", type)}
    converter = bench.peers.converter
    if converter is not None:
        options = ["--outfile", str(written[LLAMA_CPP]), "--outtype", type]
        commands[LLAMA_CPP] = [sys.executable, str(converter), str(bench.hf), *options]
    weights = cost(bench.inputs.f16(REAL)).weights

    def measured(system: str, _: int) -> Mapping[str, float]:
        written[system].unlink(missing_ok=True)
        seconds, peak = watched(commands[system], bench.folder / "peak.json")
        return {"speed": weights / 1e6 / seconds, "memory": peak / 1e6}

    def line(kind: str, samples: dict[str, list[float]]) -> Comparison:
        work = f"{REAL} f32 → {type}"
        threads = len(os.sched_getaffinity(0))
        if kind == "memory":
            return Comparison("Memory to convert", work, "MB", threads, samples, less=True)
        return Comparison(
            "Convert a Hugging Face folder", work, "M weights/s", threads, samples, goal=_GOAL,
            against=LLAMA_CPP,
        )  # fmt: skip

    outcome = compared({s: partial(measured, s) for s in commands}, bench.rounds, line)
    if all(path.exists() for path in written.values()):
        outcome.notes += differing(written[OURS], written[LLAMA_CPP], LLAMA_CPP)
    for path in written.values():
        path.unlink(missing_ok=True)
    return outcome


def watched(command: list[str], report: Path) -> tuple[float, int]:
    """Wall seconds of a command, and its peak memory in bytes."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-S", "-c", _WATCH, str(report), *command],
        check=True,
        stderr=subprocess.PIPE,
    )
    seconds = time.perf_counter() - start
    peak: int = json.loads(report.read_text())
    report.unlink()
    return seconds, peak
