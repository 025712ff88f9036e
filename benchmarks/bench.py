"""What each group of measurements gets, and the steps that it returns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inputs import Inputs
from measure import Comparison, Measure, interleave
from peers import Peers


@dataclass
class Outcome:
    """The results of a step: its lines, and notes on them for readers."""

    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """A part of the run, saved when it is done; it can be run alone by its name."""

    name: str
    measure: Callable[[], Outcome]


@dataclass(frozen=True)
class Bench:
    """The run's settings.

    Attributes:
        rounds: of every measurement.
        threads: counts to measure with.
        types: of weights.
        sizes: names of shapes to measure speed with.
        hf: the real model as a Hugging Face folder.
        before: the interpreter of another build of ggmlkit, to compare this one with.
        texts: folder of the texts of WikiText-2.
    """

    inputs: Inputs
    peers: Peers
    folder: Path
    rounds: int
    threads: list[int]
    types: list[str]
    sizes: list[str]
    hf: Path
    before: Path | None = None
    texts: Path = Path()


def few(bench: Bench) -> int:
    """The number of rounds for work that takes minutes."""
    return min(bench.rounds, 3)


def compared(
    systems: Mapping[str, Measure],
    rounds: int,
    describe: Callable[[str, dict[str, list[float]]], Comparison],
) -> Outcome:
    """Measure; `describe` makes a line of each kind and its samples."""
    found, failures = interleave(systems, rounds)
    return Outcome([describe(kind, samples) for kind, samples in found.items()], failures)


def ours(*arguments: str | Path) -> list[str]:
    """Our command line, started as a user would start it."""
    return [sys.executable, "-m", "ggmlkit", *map(str, arguments)]


def in_words(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
