"""The runs of `make fuzz FUZZ_ARGS="--record …"`, for the page of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Fuzzed:
    """One target's runs, added up.

    Attributes:
        executions: inputs that it ran.
        seconds: that they took.
        failures: runs that ended with an input that failed.
        commits: of the sources, in order.
    """

    executions: int = 0
    seconds: float = 0.0
    failures: int = 0
    commits: list[str] = field(default_factory=list)

    def add(self, executions: int, seconds: float, failed: bool, commit: str) -> None:
        """Count one more run."""
        self.executions += executions
        self.seconds += seconds
        self.failures += failed
        if commit not in self.commits:
            self.commits.append(commit)


def read(path: Path) -> dict[str, Fuzzed]:
    """Runs by target; empty if nothing was recorded."""
    if not path.exists():
        return {}
    return {name: Fuzzed(**values) for name, values in json.loads(path.read_text()).items()}


def write(targets: Mapping[str, Fuzzed], path: Path) -> None:
    values = {name: asdict(targets[name]) for name in sorted(targets)}
    path.write_text(json.dumps(values, indent=1) + "\n")


def lines(targets: Mapping[str, Fuzzed]) -> list[str]:
    """A section of the page; empty if nothing was recorded."""
    if not targets:
        return []
    total = sum(target.executions for target in targets.values())
    hours = sum(target.seconds for target in targets.values()) / 3600
    commits = list(dict.fromkeys(c for target in targets.values() for c in target.commits))
    return [
        "## Fuzzing",
        "",
        f"{total:,} executions in {hours:.1f} processor hours, at {_listed(commits)}: readers "
        "under atheris, compiled kernels (`kernels`) under libFuzzer with AddressSanitizer and "
        "UBSan. Failures were fixed, and their inputs are part of the test suite.",
        "",
        "| target | executions | a second | runs that failed |",
        "| --- | --- | --- | --- |",
        *(_row(name, target) for name, target in targets.items()),
        "",
    ]


def _row(name: str, target: Fuzzed) -> str:
    rate = target.executions / target.seconds if target.seconds else 0.0
    return f"| {name} | {target.executions:,} | {rate:,.0f} | {target.failures} |"


def _listed(commits: Sequence[str]) -> str:
    word = "commit" if len(commits) == 1 else "commits"
    return f"{word} {', '.join(commits)}"
