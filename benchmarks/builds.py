"""Another build of ggmlkit beside this one: did a change make it slower? Measured with `--before`.

Both run in every round, in processes of their own. The older one needs an environment of its own,
such as the `.venv` of another checkout.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import Bench, Outcome, Step, compared, few, in_words, ours
from inputs import REAL, cost
from measure import OURS, Comparison, Measure, best, seconds
from peers import ROOT
from tokens_per_second import Together, Work, launch, our_command, our_command_together

BEFORE = "before"
# Runs of one build differ by a few percent. Less than this share of the older one's is slower.
_SAME = 0.97
_TYPES = ("f16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K",
          "iq4_nl", "iq4_xs", "tq2_0", "mxfp4")  # fmt: skip
_ROWS = (1, 8, 64, 512)
_DEPTH = 2048
_PROMPT = "Once upon a time, in a village by the sea,"


def steps(bench: Bench) -> list[Step]:
    """Arrays, products, models, processes."""
    if bench.before is None:
        return []
    pair = _Pair(sys.executable, str(bench.before))
    alone = [{"work": work, "type": t} for work in ("dequantize", "quantize") for t in _TYPES]
    return [
        *(
            Step(
                f"before {w['work']} {w['type']}",
                partial(_asked, bench, pair, w, "M weights/s", 1, f"{w['work']} {w['type']}"),
            )
            for w in alone
        ),
        *(
            Step(
                f"before product {rows} {type} {in_words(threads)}",
                partial(_product, bench, pair, rows, type, threads),
            )
            for threads in bench.threads[:1]
            for type in (*bench.types, "q4_K", "q6_K")
            for rows in _ROWS
        ),
        *(
            Step(
                f"before speed {size} {type} {in_words(threads)}",
                partial(_speed, bench, pair, size, type, threads),
            )
            for size in bench.sizes
            for threads in bench.threads
            for type in bench.types
        ),
        Step("before depth", partial(_depth, bench, pair)),
        Step("before together", partial(_together, bench, pair)),
        Step("before quantize file", partial(_file, bench, pair)),
        Step("before start", partial(_starts, bench, pair)),
        Step("before open", partial(_open, bench, pair)),
    ]


@dataclass
class _Pair:
    """Two interpreters, and the worker that each has once it is asked."""

    after: str
    before: str

    def __post_init__(self) -> None:
        self._workers: dict[str, subprocess.Popen[str]] = {}

    def ask(self, python: str, request: Mapping[str, Any]) -> float:
        """What the worker of an interpreter answers."""
        if python not in self._workers:
            script = str(Path(__file__).with_name("build_worker.py"))
            self._workers[python] = subprocess.Popen(
                [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        worker = self._workers[python]
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(request) + "\n")
        worker.stdin.flush()
        answer = worker.stdout.readline()
        if not answer:
            raise RuntimeError(f"{python} stopped at {request}")
        return float(json.loads(answer))

    def systems(self) -> dict[str, str]:
        """Interpreter by the name that tables have."""
        return {OURS: self.after, BEFORE: self.before}


def _asked(
    bench: Bench, pair: _Pair, request: dict[str, Any], unit: str, threads: int, work: str
) -> Outcome:
    def measure(python: str) -> Measure:
        return lambda _: {work: pair.ask(python, request)}

    def line(kind: str, samples: dict[str, list[float]]) -> Comparison:
        return Comparison("In memory", kind, unit, threads, samples, goal=_SAME)

    return compared({s: measure(p) for s, p in pair.systems().items()}, bench.rounds, line)


def _product(bench: Bench, pair: _Pair, rows: int, type: str, threads: int) -> Outcome:
    outcome = Outcome()
    for packed in (False, True):
        request = {
            "work": "product", "type": type, "rows": rows, "threads": threads, "packed": packed
        }  # fmt: skip
        work = f"{rows} rows × 4096² {type}, {'packed' if packed else 'as stored'}"
        outcome.comparisons += _asked(
            bench, pair, request, "G multiply-adds/s", threads, work
        ).comparisons
    return outcome


def _speed(bench: Bench, pair: _Pair, size: str, type: str, threads: int) -> Outcome:
    path = bench.inputs.model(size, type)
    big = cost(path).weights > 500_000_000
    prompts, tokens = ((256,), 24) if big else ((256, 512), 64)
    work = Work(path, threads, prompts, n_gen=tokens, warmup=not big)

    def line(kind: str, samples: dict[str, list[float]]) -> Comparison:
        what = "decode" if kind == "decode" else f"prompt of {kind}"
        name = f"{size} {type}, {what}"
        return Comparison("Models", name, "tokens/s", threads, samples, goal=_SAME)

    rounds = few(bench) if big else bench.rounds
    return compared(_launched(pair, our_command(work)), rounds, line)


def _depth(bench: Bench, pair: _Pair) -> Outcome:
    threads = max(bench.threads)
    work = Work(bench.inputs.model(REAL, bench.types[0]), threads, n_gen=16, depth=_DEPTH)

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        name = f"{REAL} {bench.types[0]}, behind {_DEPTH} tokens"
        return Comparison("Models", name, "tokens/s", threads, samples, goal=_SAME)

    return compared(_launched(pair, our_command(work)), bench.rounds, line)


def _together(bench: Bench, pair: _Pair) -> Outcome:
    threads = max(bench.threads)
    work = Together(bench.inputs.model(REAL, bench.types[0]), threads, 8, n_gen=32)

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        name = f"{REAL} {bench.types[0]}, {work.sequences} sequences of {work.n_gen} tokens"
        return Comparison("Models", name, "tokens/s", threads, samples, goal=_SAME)

    return compared(_launched(pair, our_command_together(work)), bench.rounds, line)


def _launched(pair: _Pair, command: list[str]) -> dict[str, Measure]:
    """`command` under each interpreter; its first word is that of this one."""

    def measure(python: str) -> Measure:
        return lambda _: launch([python, *command[1:]])

    return {system: measure(python) for system, python in pair.systems().items()}


def _file(bench: Bench, pair: _Pair) -> Outcome:
    source, target = bench.inputs.f16(REAL), bench.folder / "before.gguf"
    threads, weights = max(bench.threads), cost(source).weights
    command = ours("quantize", source, target, "q4_0", "--pure", "-t", str(threads))

    def measure(python: str) -> Measure:
        def once(_: int) -> dict[str, float]:
            target.unlink(missing_ok=True)
            return {"file": weights / 1e6 / seconds(partial(_run, [python, *command[1:]]))}

        return once

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        work = f"{REAL} f16 → q4_0"
        return Comparison("Processes", work, "M weights/s", threads, samples, goal=_SAME)

    outcome = compared({s: measure(p) for s, p in pair.systems().items()}, bench.rounds, line)
    target.unlink(missing_ok=True)
    return outcome


def _starts(bench: Bench, pair: _Pair) -> Outcome:
    model = bench.inputs.model(REAL, bench.types[0])
    threads = max(bench.threads)
    run = ours("run", "-m", model, "-p", _PROMPT, "-n", "1", "-t", str(threads))
    commands = {
        "start to first token": run[1:],
        "import ggmlkit": ["-c", "import ggmlkit"],
        "ggmlkit --help": ["-m", "ggmlkit", "--help"],
    }

    def measure(python: str) -> Measure:
        return lambda _: {
            work: 1e3 * best(partial(_run, [python, *command]), 5)
            for work, command in commands.items()
        }

    def line(work: str, samples: dict[str, list[float]]) -> Comparison:
        return Comparison(
            "Processes", work, "ms", threads, samples, goal=2 - _SAME, less=True
        )  # fmt: skip

    return compared({s: measure(p) for s, p in pair.systems().items()}, bench.rounds, line)


def _open(bench: Bench, pair: _Pair) -> Outcome:
    model = str(bench.inputs.model(REAL, bench.types[0]))
    prose = str(ROOT / "docs" / "cli.md")
    opening = _asked(
        bench, pair, {"work": "open", "model": model}, "files/s", 1, f"open {REAL} {bench.types[0]}"
    )
    request = {"work": "encode", "model": model, "text": prose}
    encoding = _asked(bench, pair, request, "M characters/s", 1, f"encode with {REAL}'s tokenizer")
    return Outcome(opening.comparisons + encoding.comparisons, opening.notes + encoding.notes)


def _run(command: list[str]) -> None:
    subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=True)
