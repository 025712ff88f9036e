"""The engine: sequences that come and go together, forks, and sequences in files."""

from __future__ import annotations

import threading
import time
from functools import partial

import numpy as np

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared
from inputs import REAL
from measure import OURS, Comparison, best, seconds

_SEQUENCES = (1, 4, 8, 16)
_TOKENS = 32  # that each of them decodes
_PROMPT = 512  # that is prefilled beside seven decoding sequences
_BUDGETS = (0.02, 0.1)  # seconds of a step that may go to it
_LONG = 1000  # tokens of a sequence that is forked, saved and loaded


def steps(bench: Bench) -> list[Step]:
    """With most threads and the first type."""
    return [
        *(Step(f"engine {n} sequences", partial(_scheduled, bench, n)) for n in _SEQUENCES),
        *(Step(f"engine prompt {b:g} s", partial(_prompt_beside, bench, b)) for b in _BUDGETS),
        Step("engine sequence", partial(_sequence, bench)),
    ]


def _model(bench: Bench, contexts: int) -> gk.Model:
    path = bench.inputs.model(REAL, bench.types[0])
    return gk.Model(path, context=1536, contexts=contexts, threads=max(bench.threads))


def _line(bench: Bench, work: str, unit: str, *, less: bool = False) -> partial[Comparison]:
    name = f"{REAL} {bench.types[0]}, {work}"
    return partial(Comparison, "The engine", name, unit, max(bench.threads), less=less)


def _scheduled(bench: Bench, sequences: int) -> Outcome:
    """Tokens a second of all, from the first token of the last to come on."""
    model = _model(bench, sequences)
    prompt = list(range(1000, 1064))

    def measure(turn: int) -> dict[str, float]:
        with gk.Scheduler(model) as scheduler:
            streams = [
                scheduler.submit([*prompt, turn, i], max_tokens=_TOKENS, ignore_eos=True)
                for i in range(sequences)
            ]
            start = time.perf_counter()
            for stream in streams:
                for _ in stream:
                    pass
            taken = time.perf_counter() - start
        return {"": sequences * _TOKENS / taken}

    line = _line(bench, f"{sequences} streams of 66 tokens and {_TOKENS} more", "tokens/s")
    return compared({OURS: measure}, bench.rounds, lambda _, samples: line(samples=samples))


def _prompt_beside(bench: Bench, budget: float) -> Outcome:
    """Seven streams run while a long prompt comes: all tokens a second, and the longest gap."""
    model = _model(bench, 8)
    random = np.random.default_rng(1)

    def measure(_: int) -> dict[str, float]:
        with gk.Scheduler(model, prefill_time=budget) as scheduler:
            streams = [scheduler.submit([5 + i], max_tokens=400, ignore_eos=True) for i in range(7)]
            times: list[list[float]] = [[] for _ in streams]
            readers = [
                threading.Thread(target=_note, args=(stream, at))
                for stream, at in zip(streams, times, strict=True)
            ]
            for reader in readers:
                reader.start()
            time.sleep(0.5)
            start = time.perf_counter()
            prompt = random.integers(1000, 40000, _PROMPT).tolist()
            with scheduler.submit(prompt, max_tokens=1, ignore_eos=True) as long:
                next(long)
            end = time.perf_counter()
            for stream in streams:
                stream.close()
        for reader in readers:
            reader.join()
        during = [[t for t in at if start <= t <= end] for at in times]
        gaps = [b - a for at in during for a, b in zip([start, *at], [*at, end], strict=True)]
        decoded = sum(map(len, during))
        return {
            "speed": (_PROMPT + decoded) / (end - start),
            "gap": 1e3 * max(gaps),
            "first": 1e3 * (end - start),
        }

    where = f"a prompt of {_PROMPT} beside 7 streams, {budget:g} s a step for it"
    lines = {
        "speed": _line(bench, f"{where}: all tokens", "tokens/s"),
        "gap": _line(bench, f"{where}: longest gap of a stream", "ms", less=True),
        "first": _line(bench, f"{where}: its first token", "ms", less=True),
    }
    return compared(
        {OURS: measure}, bench.rounds, lambda kind, samples: lines[kind](samples=samples)
    )


def _note(stream: object, times: list[float]) -> None:
    """When each token of a stream came; a closed one ends."""
    try:
        for _ in stream:  # type: ignore[attr-defined]
            times.append(time.perf_counter())
    except gk.ClosedError:
        pass


def _sequence(bench: Bench) -> Outcome:
    """A fork, and a file of a long sequence."""
    model = _model(bench, 4)
    sequence = model.sequence()
    model.step([gk.Chunk(sequence, np.random.default_rng(1).integers(1000, 40000, _LONG))])
    path = bench.folder / "sequence.gguf"

    def measure(_: int) -> dict[str, float]:
        fork = best(lambda: sequence.fork().close(), 100)
        write = seconds(lambda: sequence.save(path))
        return {
            "fork": 1e6 * fork,
            "save": 1e3 * write,
            "load": 1e3 * seconds(lambda: model.load_sequence(path).close()),
        }

    work = f"of {_LONG} tokens"
    lines = {
        "fork": _line(bench, f"a fork {work}", "µs", less=True),
        "save": _line(bench, f"a sequence {work} to a file", "ms", less=True),
        "load": _line(bench, f"a sequence {work} from a file", "ms", less=True),
    }
    outcome = compared(
        {OURS: measure}, bench.rounds, lambda kind, samples: lines[kind](samples=samples)
    )
    path.unlink(missing_ok=True)
    return outcome
