"""Measure ggmlkit beside llama.cpp and ik_llama.cpp on this machine; `make bench` runs it.

Each step is written to results.json and RESULTS.md when it is done, and replaces the results of
earlier runs on the same CPU. To keep those of another CPU, move them into a folder here. --resume
continues a run that was stopped. --only measures steps whose name contains one of the given words,
such as "depth", "speed 135M q4_0" or "memory"; those of "calibration" run only so. With --before
another build of ggmlkit is measured beside this one, instead of the peers; give --out a folder of
its own.
"""

from __future__ import annotations

import argparse
import compileall
import datetime
import os
import sys
from pathlib import Path
from typing import Any

import builds
import calibration
import client_tests
import constraints
import conversion
import engine
import fuzzing
import ggmlkit
import growth
import kv_types
import machine
import memory
import nested_scales
import peer_tests
import peers
import processes
import products
import quality
import serving
import speculation
import speed
import store
import tokenizing
from bench import Bench, Step
from fit import growths
from inputs import Inputs
from plot import draw
from report import line, markdown
from shapes import SHAPES

_HERE = Path(__file__).parent
# Mostly the quick ones first.
_GROUPS = (
    memory, quality, processes, tokenizing, conversion, speed, engine, kv_types, speculation,
    constraints, serving, nested_scales, products, growth, calibration,
)  # fmt: skip
# Steps that take hours: they run where --only names them.
_LONG = calibration.GROUP_OF_STEPS


def main() -> int:
    """Measure, print each line as it comes, write after each step."""
    options = _arguments()
    if options.rounds < 5:
        print("medians of fewer than 5 rounds say little", file=sys.stderr)
    options.folder.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    # As pip does for an installed package; an editable one could be compiled at every start.
    compileall.compile_dir(Path(ggmlkit.__file__).parent, quiet=1)
    if options.page:
        _write_page(store.read(options.out / "results.json"), options.out)
        return 0
    # The steps' names don't depend on the peers, which can take minutes to build.
    alone = options.list or options.before
    found = peers.Peers() if alone else peers.find(peers.FOLDER)
    os.chdir(options.folder)  # ik_llama.cpp's tools leave logs where they run
    bench = Bench(
        Inputs(options.folder, options.f16), found, options.folder, options.rounds,
        options.threads, options.types, options.sizes, options.hf, options.before, options.texts,
    )  # fmt: skip
    groups = (builds,) if options.before else _GROUPS
    steps = [step for group in groups for step in group.steps(bench)]
    chosen = [step for step in steps if _is_chosen(step.name, options.only)]
    if options.list:
        print("\n".join(step.name for step in chosen))
        return 0
    results = _earlier(options, found)
    results.probes |= {n: machine.probe(n, options.folder) for n in {1, *options.threads}}
    if options.resume:
        chosen = [step for step in chosen if step.name not in results.records]
    for step in chosen:
        print(f"— {step.name}", flush=True)
        results.records[step.name] = _measured(step, results)
        results.missing = [s.name for s in steps if s.name not in results.records]
        _write(results, [s.name for s in steps], options)
    print((options.out / "RESULTS.md").read_text())
    return 0


def _is_chosen(name: str, only: list[str] | None) -> bool:
    if only:
        return any(word in name for word in only)
    return not name.startswith(_LONG)


def _earlier(options: argparse.Namespace, found: peers.Peers) -> store.Results:
    """The results of earlier runs on this machine, with the machine's current facts."""
    facts: dict[str, Any] = machine.facts(found.versions())
    path = options.out / "results.json"
    results = store.Results() if options.fresh else store.read(path, facts["cpu"])
    results.machine = {**facts, "not found": "; ".join(found.missing)}
    return results


def _measured(step: Step, results: store.Results) -> store.Record:
    before = machine.load()
    outcome = step.measure()
    peaks = {threads: machine.peaks(probe) for threads, probe in results.probes.items()}
    record = store.Record(
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        machine.commit(),
        (before, machine.load()),
        peaks,
        outcome.comparisons,
        outcome.notes,
    )
    for comparison in record.comparisons:
        print(line(comparison), flush=True)
    for note in record.notes:
        print(f"  {note}", flush=True)
    return record


def _write(results: store.Results, order: list[str], options: argparse.Namespace) -> None:
    results.records = {n: results.records[n] for n in order if n in results.records}
    store.write(results, options.out / "results.json")
    _write_page(results, options.out)


def _write_page(results: store.Results, out: Path) -> None:
    lines = growths(results.comparisons)
    pictures = draw(lines, out)
    recorded = peer_tests.lines(peer_tests.read(out / "peers.json"))
    recorded += client_tests.lines(client_tests.read(out / "clients.json"))
    recorded += fuzzing.lines(fuzzing.read(out / "fuzz.json"))
    others = [str(page.relative_to(out)) for page in sorted(out.glob("*/RESULTS.md"))]
    page = markdown(results, lines, [picture.name for picture in pictures], recorded, others)
    (out / "RESULTS.md").write_text(page)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="+", metavar="WORD", help="measure the steps with a WORD in their name")
    add("--list", action="store_true", help="print the steps' names and measure nothing")
    add("--resume", action="store_true", help="skip the steps that results.json has")
    add("--fresh", action="store_true", help="ignore the results in results.json")
    add("--page", action="store_true", help="write RESULTS.md from results.json, measure nothing")
    add("--rounds", type=int, default=5)
    add("--threads", nargs="+", type=int, default=_threads())
    add("--types", nargs="+", default=["q4_0", "q5_0", "q8_0"])
    add("--sizes", nargs="+", default=["135M", "1.1B"], choices=list(SHAPES))
    add("--f16", type=Path, default=Path("build/models/smollm2-f16.gguf"), help="of SmolLM2-135M")
    add("--hf", type=Path, default=Path("build/models/smollm2-hf"), help="folder of the same model")
    add(
        "--texts",
        type=Path,
        default=Path("../shared/text"),
        help="folder of wikitext2-valid.txt and wikitext2-test.txt",
    )
    add(
        "--before",
        type=Path,
        metavar="PYTHON",
        help="the interpreter of another build of ggmlkit: measure this one beside it alone",
    )
    add("--folder", type=Path, default=Path("build/bench"), help="for models (6 GB)")
    add("--out", type=Path, default=_HERE, help="folder of the results")
    options = parser.parse_args()
    for name in ("f16", "hf", "folder", "out", "texts"):
        setattr(options, name, getattr(options, name).resolve())
    if not options.f16.exists():
        parser.error(f"{options.f16} does not exist; run `make demo`, or give --f16")
    return options


def _threads() -> list[int]:
    """One, and two where the machine has them."""
    return [1, 2][: len(os.sched_getaffinity(0))]


if __name__ == "__main__":
    sys.exit(main())
