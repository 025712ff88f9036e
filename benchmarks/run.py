"""Measure ggmlkit beside llama.cpp on this machine; `make bench` runs it.

    LLAMA_CPP_BIN=~/llama.cpp/build/bin make bench BENCH_ARGS="--f16 model-f16.gguf"

Without llama.cpp's tools, ggmlkit is measured alone. Writes results.json and RESULTS.md.
"""

from __future__ import annotations

import os

# Read by numpy's BLAS when it loads: the bandwidth probe counts its threads itself.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import work
from libggml import find
from machine import bandwidth, facts
from measure import Comparison
from report import markdown

_HERE = Path(__file__).parent
_DEMO_MODEL = Path("build/models/smollm2-f16.gguf")


def main() -> int:
    """Measure, print each line as it comes, write both files after each step."""
    options = _arguments()
    if options.rounds < 5:
        print("medians of fewer than 5 rounds say little", file=sys.stderr)
    library = find(options.llama_bin) if options.llama_bin else None
    machine = facts(options.llama_bin)
    machine["model"] = options.f16.name
    machine["load average"] = {"before": round(os.getloadavg()[0], 1)}
    machine["bandwidth"] = {threads: bandwidth(threads) for threads in options.threads}
    comparisons: list[Comparison] = []
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work_dir) as folder:
        steps = _steps(options, library, Path(folder))
        for done, step in enumerate(steps, start=1):
            comparisons += _told(step.measure())
            machine["load average"]["after"] = round(os.getloadavg()[0], 1)
            _write(options, machine, comparisons, [left.name for left in steps[done:]])
    print((options.out / "RESULTS.md").read_text())
    return 0


@dataclass(frozen=True)
class _Step:
    """One piece of the run; what is done is written before the next begins."""

    name: str
    measure: Callable[[], Sequence[Comparison]]


def _steps(options: argparse.Namespace, library: Path | None, folder: Path) -> list[_Step]:
    """All that is to be measured, the quick first."""
    peer, rounds, f16 = options.llama_bin, options.rounds, options.f16
    each = [(threads, type) for threads in options.threads for type in options.types]
    return [
        *(
            _Step(f"in memory {type}", partial(work.in_memory, type, library, rounds))
            for type in options.types
        ),
        *(
            _Step(
                f"quantize a file to {type} with {threads} thread(s)",
                partial(work.quantize_file, f16, type, threads, folder, peer, rounds),
            )
            for threads, type in each
        ),
        *(
            _Step(
                f"speed of {type} with {threads} thread(s)",
                partial(work.speed, f16, type, threads, folder, peer, rounds),
            )
            for threads, type in each
        ),
    ]


def _write(
    options: argparse.Namespace,
    machine: dict[str, Any],
    comparisons: list[Comparison],
    missing: list[str],
) -> None:
    results = {
        "machine": machine,
        "rounds": options.rounds,
        "comparisons": [comparison.as_json() for comparison in comparisons],
        "missing": missing,
    }
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    page = markdown(machine, comparisons, options.rounds, missing)
    (options.out / "RESULTS.md").write_text(page)


def _told(comparisons: Sequence[Comparison]) -> Sequence[Comparison]:
    for c in comparisons:
        medians = ", ".join(f"{system} {c.median(system):.0f}" for system in c.samples)
        print(f"{c.work}: {medians} {c.unit}", flush=True)
    return comparisons


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = os.environ.get("LLAMA_CPP_BIN")
    parser.add_argument(
        "--llama-bin", type=Path, default=known, help="folder of llama-bench and llama-quantize"
    )
    parser.add_argument("--f16", type=Path, default=_DEMO_MODEL, help="f16 gguf to measure with")
    parser.add_argument("--types", nargs="+", default=["q4_0", "q5_0", "q8_0"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work-dir", type=Path, help="where the files measured are written")
    parser.add_argument("--out", type=Path, default=_HERE, help="where the results go")
    options = parser.parse_args()
    if not options.f16.exists():
        parser.error(f"{options.f16} is not there; `make demo` makes it, or give --f16")
    return options


if __name__ == "__main__":
    sys.exit(main())
