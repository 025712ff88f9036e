"""Runs of tests of other programs: what they count, and the file that keeps it."""

from __future__ import annotations

import datetime
import json
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import machine
import peers

Run = TypeVar("Run")


def run(
    pytest: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[int, str | None]:
    """Run pytest.

    Args:
        pytest: its command.
        arguments: for it, after ours.
        environment: of the process.

    Returns:
        its exit status, and its JUnit report; None if it made none.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [*pytest, f"--junitxml={report}", *arguments]
        done = subprocess.run(command, env=environment, cwd=peers.ROOT, check=False)
        return done.returncode, report.read_text() if report.exists() else None


def cases_of(report: str) -> list[ElementTree.Element]:
    """The tests of a JUnit report."""
    return list(ElementTree.fromstring(report).iter("testcase"))


def counts(cases: Sequence[ElementTree.Element]) -> dict[str, Any]:
    """What a record says of some tests: date, commit, how many passed, failed, were skipped."""
    failed, skipped = _with(cases, "failure", "error"), _with(cases, "skipped")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        "commit": machine.commit(),
        "passed": len(cases) - failed - skipped,
        "failed": failed,
        "skipped": skipped,
        "seconds": round(sum(float(case.get("time", 0)) for case in cases), 1),
    }


def _with(cases: Iterable[ElementTree.Element], *tags: str) -> int:
    return sum(any(part.tag in tags for part in case) for case in cases)


def read(path: Path, kind: type[Run]) -> dict[str, Run]:
    """Runs by name; empty if nothing was recorded."""
    if not path.exists():
        return {}
    return {name: kind(**values) for name, values in json.loads(path.read_text()).items()}


def write(runs: Mapping[str, Any], path: Path) -> None:
    """Store runs by name."""
    values = {name: asdict(run) for name, run in runs.items()}
    path.write_text(json.dumps(values, indent=1) + "\n")


def row(*cells: object) -> str:
    """A row of a table."""
    return f"| {' | '.join(map(str, cells))} |"
