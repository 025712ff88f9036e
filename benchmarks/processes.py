"""Whole processes: quantizing a file, the first token, an import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared, few, in_words, ours
from inputs import REAL, cost
from measure import OURS, Comparison, Measure, seconds
from peers import IK_LLAMA, LLAMA_CPP
from shapes import SHAPES

_PROMPT = "Once upon a time, in a village by the sea,"
_BIG = 500_000_000  # with more weights, quantizing takes a peer many seconds
_WIDE = 4096  # columns: packing such a model takes longer than starting a process
_READING = "dd of the file"
_STARTS = 3  # of each process in each round: they are short


def steps(bench: Bench) -> list[Step]:
    """Quantize files, then start."""
    each = [(type, threads) for threads in bench.threads for type in bench.types]
    return [
        *(
            Step(
                f"file {size} {type} {in_words(threads)}",
                partial(_quantize, bench, size, type, threads),
            )
            for size in bench.sizes
            for type, threads in each
        ),
        Step("start first token", partial(_first_token, bench)),
        *(
            Step(f"start {size} {type}", partial(_first_token_of_big, bench, size, type))
            for size in bench.sizes
            for type in bench.types
            if SHAPES[size].dim >= _WIDE
        ),
        Step("start import", partial(_import, bench)),
    ]


def _quantize(bench: Bench, size: str, type: str, threads: int) -> Outcome:
    """From f16 file to file, `--pure`; the tensors written are compared byte by byte."""
    source = bench.inputs.f16(size)
    weights = cost(source).weights
    written = {s: bench.folder / f"{s}.gguf" for s in (OURS, LLAMA_CPP, IK_LLAMA)}
    command = ours("quantize", source, written[OURS], type, "--pure", "-t", str(threads))
    commands = {OURS: command}
    for system in bench.peers.folders:
        tool = [bench.peers.tool(system, "llama-quantize"), "--pure"]
        commands[system] = [*tool, str(source), str(written[system]), type, str(threads)]

    def speed(system: str) -> Measure:
        work = partial(_quiet, commands[system])
        return lambda _: {"file": weights / 1e6 / _after(written[system], work)}

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        return Comparison(
            "Quantize a file", f"{size} f16 → {type}", "M weights/s", threads, samples, goal=5.0,
            against=LLAMA_CPP,
        )  # fmt: skip

    rounds = few(bench) if weights > _BIG else bench.rounds
    outcome = compared({system: speed(system) for system in commands}, rounds, line)
    for system in bench.peers.folders:
        if written[system].exists() and written[OURS].exists():
            outcome.notes += differing(written[OURS], written[system], system)
    for path in written.values():
        path.unlink(missing_ok=True)
    return outcome


def _after(path: Path, work: Callable[[], object]) -> float:
    """Seconds of `work`, which writes `path` again; deleting the old file is not counted."""
    path.unlink(missing_ok=True)
    return seconds(work)


def differing(one: Path, other: Path, system: str) -> list[str]:
    """A note if the tensors of two files differ; `system` wrote the second."""
    with gk.open(one) as mine, gk.open(other) as theirs:
        names = [
            name
            for name, tensor in mine.tensors.items()
            if name not in theirs.tensors
            or tensor.type != theirs[name].type
            or not np.array_equal(tensor.data, theirs[name].data)
        ]
    if not names:
        return []
    return [f"{system} wrote other bytes in {len(names)} tensors, such as {names[0]}"]


def _first_token(bench: Bench) -> Outcome:
    """Process start to end with one token made, the file in the page cache."""
    path, threads = bench.inputs.model(REAL, bench.types[0]), max(bench.threads)
    options = ["-m", str(path), "-p", _PROMPT, "-n", "1", "-t", str(threads)]
    commands = {OURS: ours("run", *options)}
    # Without `-no-cnv` llama.cpp would chat, since the model has a template.
    tools = {LLAMA_CPP: ["llama-completion", "-no-cnv"], IK_LLAMA: ["llama-cli"]}
    for system, (tool, *extra) in tools.items():
        if system in bench.peers.folders:
            commands[system] = [bench.peers.tool(system, tool), *options, *extra]
    work = f"{REAL} {bench.types[0]}, one token after a prompt"
    return _starts(
        bench, commands, "Start to first token", work, threads, goal=0.5, against=LLAMA_CPP
    )


def _first_token_of_big(bench: Bench, size: str, type: str) -> Outcome:
    """The same beside reading the file once: packing its weights should hide behind that."""
    path, threads = bench.inputs.model(size, type), max(bench.threads)
    options = ["-m", str(path), "-p", "a", "-n", "1", "-t", str(threads), "-c", "64"]
    commands = {
        OURS: ours("run", *options),
        _READING: ["dd", f"if={path}", "of=/dev/null", "bs=1M"],
    }
    if LLAMA_CPP in bench.peers.folders:
        tool = bench.peers.tool(LLAMA_CPP, "llama-completion")
        commands[LLAMA_CPP] = [tool, "-no-cnv", *options]
    work = f"{size} {type}, one token after a short prompt"
    return _starts(
        bench, commands, "Start to first token", work, threads, goal=1.5, against=_READING
    )


def _import(bench: Bench) -> Outcome:
    """Python with each import; numpy is the other system."""
    commands = {
        OURS: [sys.executable, "-c", "import ggmlkit"],
        "numpy": [sys.executable, "-c", "import numpy"],
    }
    return _starts(bench, commands, "Import", "python -c import", 1, goal=1.3)


def _starts(
    bench: Bench,
    commands: dict[str, list[str]],
    group: str,
    work: str,
    threads: int,
    *,
    goal: float,
    against: str | None = None,
) -> Outcome:
    def measure(command: Sequence[str]) -> Measure:
        times = _STARTS
        return lambda _: {"ms": 1e3 * min(seconds(lambda: _quiet(command)) for _ in range(times))}

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        return Comparison(
            group, work, "ms", threads, samples, goal=goal, less=True, against=against
        )

    for command in commands.values():
        subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    systems = {system: measure(command) for system, command in commands.items()}
    return compared(systems, bench.rounds, line)


def _quiet(command: Sequence[str]) -> None:
    subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=True)
