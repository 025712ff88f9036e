"""Fleets that cannot be run here, by simulation: how many cores so many users need.

    python benchmarks/fleet.py                     writes the tables of docs/scale-out.md
    python benchmarks/fleet.py --measure MODEL     measures the steps of one core first

All replicas advance together, half a step of the engine at a time, so 10,000 of them take seconds.
What is left out: the network, failures, the difference between the lengths of the contexts, and
speculation. It takes some minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from fleet_steps import measured, read, told
from fleet_tables import tables

CORES = 8  # of a replica
STEPS = Path(__file__).parent / "fleet.json"
PAGE = Path(__file__).parent.parent / "docs" / "scale-out.md"
BEGIN, END = "<!-- fleet: begin -->", "<!-- fleet: end -->"


def main() -> int:
    """Measure if asked to, simulate, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--measure", type=Path, metavar="MODEL", help="measure steps of this model")
    parser.add_argument("--print", action="store_true", help="print, and leave the page as it is")
    args = parser.parse_args()
    if args.measure is not None:
        STEPS.write_text(json.dumps(measured(args.measure), indent=1) + "\n")
    start = time.process_time()
    text = f"{told(STEPS)}\n\n{tables(read(STEPS).on(CORES))}"
    print(
        text if args.print else f"{PAGE}: {time.process_time() - start:.0f} s of a core",
        file=sys.stdout,
    )
    if not args.print:
        PAGE.write_text(with_tables(PAGE.read_text("utf-8"), text), "utf-8")
    return 0


def with_tables(page: str, text: str) -> str:
    """A page with other tables between the marks."""
    head, _, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{text}\n{END}{tail}"


if __name__ == "__main__":
    sys.exit(main())
