"""Speculation beside plain decoding: for texts that repeat their prompt, and others."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from functools import partial

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared
from ggmlkit.engine.speculation.choice import Speculation
from inputs import REAL
from measure import OURS, Comparison

_PLAIN = "without"
_TOKENS = 200
_PEOPLE = (
    ("Anna", 31, "Paris"), ("Ben", 44, "London"), ("Carla", 27, "Rome"), ("Dirk", 52, "Berlin"),
    ("Ewa", 38, "Warsaw"), ("Finn", 19, "Oslo"), ("Gina", 63, "Madrid"), ("Hugo", 41, "Vienna"),
)  # fmt: skip


def _renamed(function: Callable[..., object], name: str) -> str:
    code = inspect.getsource(function)
    new = code.replace(f"def {function.__name__}", f"def {name}")
    return f"# Code:\n{code}\n# The same, but the function is called {name}:\n{new}\n"


def _edit() -> str:
    """Two edits of code as examples, and a third to make. A small model can go on with that."""
    shown = _renamed(threading.Barrier.wait, "pause") + _renamed(threading.Event.wait, "rest")
    last = _renamed(threading.Condition.wait_for, "wait_until")
    return shown + last[: last.rindex("def wait_until") + len("def wait_until")]


def _quote() -> str:
    """A text once, and once more: the beginning of a third time."""
    text = (
        f"{inspect.getdoc(threading.Barrier.wait)}\n{inspect.getdoc(threading.Semaphore.acquire)}"
    )
    return f"{text}\n\nThe same text again:\n{text}\n\nThe same text again:\n"


# What is continued or asked, and whether the answer repeats much of it.
_TEXTS = {"edit code": (_edit(), True), "quote": (_quote(), True)}
_QUESTIONS = {
    "extract JSON": (
        "List the people as JSON objects with name, age and city, one a line:\n"
        + "\n".join(f"{who} is {age} years old and lives in {city}." for who, age, city in _PEOPLE),
        True,
    ),
    "story": ("Write a story about a lighthouse keeper who finds a map.", False),
    "explain": ("Explain how a refrigerator works to a curious child.", False),
}
_SEQUENCES = (1, 4)


def steps(bench: Bench) -> list[Step]:
    """Each task alone, and four at once."""
    return [
        Step(f"speculation {task} {n}", partial(_decoded, bench, task, n))
        for n in _SEQUENCES
        for task in {**_TEXTS, **_QUESTIONS}
    ]


def _decoded(bench: Bench, task: str, sequences: int) -> Outcome:
    """Decoded tokens a second, of all streams; tokens are drawn greedily."""
    text, is_copy = (_TEXTS | _QUESTIONS)[task]
    path = bench.inputs.model(REAL, bench.types[0])
    model = gk.Model(path, context=1536, contexts=sequences + 1, threads=max(bench.threads))
    prompt: str | list[int] = text
    if task in _QUESTIONS:
        prompt = model.chat_prompt([{"role": "user", "content": text}])

    def measure(turn: int, *, is_plain: bool) -> dict[str, float]:
        speculation: Speculation = None if is_plain else "lookup"
        with gk.Scheduler(model, speculation=speculation) as scheduler:
            streams = [
                scheduler.submit(
                    prompt, max_tokens=_TOKENS, ignore_eos=True, temperature=0.0, seed=turn
                )
                for _ in range(sequences)
            ]
            for stream in streams:
                next(stream)
            start = time.perf_counter()
            for stream in streams:
                for _ in stream:
                    pass
            return {"": sequences * (_TOKENS - 1) / (time.perf_counter() - start)}

    goal = (1.8 if is_copy else 0.98) if sequences == 1 else 0.95
    work = f"{REAL} {bench.types[0]}, {task}, {sequences} at once"

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        return Comparison(
            "Speculation", work, "tokens/s", max(bench.threads), samples, goal, against=_PLAIN
        )

    systems = {OURS: partial(measure, is_plain=False), _PLAIN: partial(measure, is_plain=True)}
    return compared(systems, bench.rounds, line)
