"""results.json: each step's outcome with the state of the machine it was measured in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import Comparison, from_json

_SCHEMA = 2


@dataclass
class Record:
    """A step that was measured.

    Attributes:
        load: average before and after.
        peaks: the machine's, by threads and kind, from the run that measured the step.
    """

    date: str
    commit: str
    load: tuple[float, float]
    peaks: dict[int, dict[str, float]]
    comparisons: list[Comparison]
    notes: list[str] = field(default_factory=list)


@dataclass
class Results:
    """All records by step name; `machine` as `machine.facts` gives it, `probes` by threads."""

    machine: dict[str, Any] = field(default_factory=dict)
    probes: dict[int, dict[str, dict[str, float]]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def comparisons(self) -> list[Comparison]:
        return [c for record in self.records.values() for c in record.comparisons]


def read(path: Path, cpu: str | None = None) -> Results:
    """The results of an earlier run; empty if there are none, or if `cpu` is another one."""
    if not path.exists():
        return Results()
    values = json.loads(path.read_text())
    if values.get("schema") != _SCHEMA or cpu not in (None, values["machine"]["cpu"]):
        return Results()
    records = {name: _record(record) for name, record in values["steps"].items()}
    return Results(values["machine"], _by_threads(values["probes"]), values["missing"], records)


def write(results: Results, path: Path) -> None:
    """Write through a temporary file, so that an interrupted run loses nothing."""
    steps = {
        name: {**vars(record), "comparisons": [c.as_json() for c in record.comparisons]}
        for name, record in results.records.items()
    }
    values = {
        "schema": _SCHEMA,
        "machine": results.machine,
        "probes": results.probes,
        "missing": results.missing,
        "steps": steps,
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(values, indent=1) + "\n")
    partial.replace(path)


def _record(values: Mapping[str, Any]) -> Record:
    before, after = values["load"]
    return Record(
        values["date"],
        values["commit"],
        (before, after),
        _by_threads(values["peaks"]),
        [from_json(comparison) for comparison in values["comparisons"]],
        values["notes"],
    )


def _by_threads(values: Mapping[str, Any]) -> dict[int, Any]:
    """The values by number of threads; JSON made these keys text."""
    return {int(threads): value for threads, value in values.items()}
