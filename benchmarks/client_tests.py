"""Installs client libraries into build/clients and runs tests/clients; `make clients` runs it.

`--record` also writes the counts into clients.json, from which run.py writes the page of results.
Other arguments go to pytest. What clients want in Python is in the groups of pyproject.toml.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import peers
import records

FOLDER = peers.ROOT / "build" / "clients"
MODEL = peers.ROOT / "build" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
RECORDS = Path(__file__).with_name("clients.json")
TESTS = peers.ROOT / "tests" / "clients"
# Environments by name, with the group of each. lm-eval brings other versions than the rest wants.
ENVIRONMENTS = {"python": "clients", "lm-eval": "clients-lm-eval"}
NODE_PACKAGE = "openai@6.49.0"
# Where a file of tests has not its client's name.
_PACKAGES = {"notebook": "nbclient", "lm_eval_model": "lm-eval"}


@dataclass(frozen=True)
class Run:
    """The tests of one client.

    Attributes:
        date: when, in UTC.
        commit: of the sources.
        version: of the client.
        passed: tests that passed.
        failed: tests that failed or had errors.
        skipped: tests that were skipped.
        seconds: of the tests.
    """

    date: str
    commit: str
    version: str
    passed: int
    failed: int
    skipped: int
    seconds: float


def main() -> int:
    """Install, test, and record if asked; the exit status is pytest's."""
    arguments = sys.argv[1:]
    record = "--record" in arguments
    if record:
        arguments.remove("--record")
    for name, group in ENVIRONMENTS.items():
        _install(name, group)
    _install_node()
    pytest = [str(python("python")), "-m", "pytest", "-c", str(TESTS / "pytest.ini")]
    status, report = records.run(pytest, [str(TESTS), *arguments], _environment())
    if record and report is not None:
        write({**read(RECORDS), **counted(report, version)}, RECORDS)
    return status


def python(environment: str) -> Path:
    """The interpreter of an environment."""
    return FOLDER / environment / "bin" / "python"


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "GGMLKIT_PYTHON": sys.executable,
        "GGMLKIT_MODEL": os.environ.get("GGMLKIT_MODEL") or str(MODEL),
        "GGMLKIT_CLIENTS": str(FOLDER),
    }


def _install(name: str, group: str) -> None:
    """Make an environment, unless pyproject.toml is as it was when it was made."""
    asked = peers.ROOT / "pyproject.toml"
    done = FOLDER / name / ".installed"
    if done.exists() and done.stat().st_mtime >= asked.stat().st_mtime:
        return
    peers.run([sys.executable, "-m", "venv", str(FOLDER / name)])
    pip = [str(python(name)), "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    peers.run([*pip, "--upgrade", "pip>=25.1"])
    peers.run([*pip, "--group", f"{asked}:{group}"])
    done.touch()


def _install_node() -> None:
    """The npm package, unless it is there in this version."""
    folder = FOLDER / "node"
    if _node_version(folder) == NODE_PACKAGE.partition("@")[2]:
        return
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-audit", "--no-fund", "--silent", "--prefix", str(folder)]
    peers.run(["npm", "install", *options, NODE_PACKAGE])


def _node_version(folder: Path) -> str:
    package = folder / "node_modules" / "openai" / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.exists() else ""


def version(client: str) -> str:
    """Of the client that a file of tests is about; the part of its name behind ``test_``."""
    if client == "curl":
        return _output("curl", "--version").split()[1]
    if client == "openai_node":
        return (
            f"{_node_version(FOLDER / 'node')} (npm), node {_output('node', '--version').strip()}"
        )
    environment = "lm-eval" if package(client) == "lm-eval" else "python"
    code = f"from importlib.metadata import version; print(version({package(client)!r}))"
    return _output(str(python(environment)), "-c", code).strip()


def package(client: str) -> str | None:
    """The package of a client of PyPI; None for other clients."""
    if client in ("curl", "openai_node"):
        return None
    return _PACKAGES.get(client, client.replace("_", "-"))


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def counted(report: str, version_of: Callable[[str], str]) -> dict[str, Run]:
    """The numbers of a JUnit report, by client."""
    cases: dict[str, list[ElementTree.Element]] = {}
    for case in records.cases_of(report):
        client = (case.get("classname") or "").rpartition("test_")[2]
        cases.setdefault(client, []).append(case)
    return {
        client: Run(version=version_of(client), **records.counts(found))
        for client, found in cases.items()
    }


def read(path: Path) -> dict[str, Run]:
    """Runs by client; empty if nothing was recorded."""
    return records.read(path, Run)


def write(runs: Mapping[str, Run], path: Path) -> None:
    """Store `runs` by client."""
    records.write({client: runs[client] for client in sorted(runs)}, path)


def lines(runs: Mapping[str, Run]) -> list[str]:
    """A section of the page; empty if nothing was recorded."""
    if not runs:
        return []
    return [
        "## Clients of the server",
        "",
        "`make clients` runs `tests/clients`: programs and libraries of others as clients of "
        "`ggmlkit serve` with a real model.",
        "",
        "| client | version | date | commit | passed | failed | skipped | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(client, run) for client, run in runs.items()),
        "",
    ]


def _row(client: str, run: Run) -> str:
    counted = (run.passed, run.failed, run.skipped, f"{run.seconds:.0f}")
    return records.row(client, run.version, run.date, run.commit, *counted)


if __name__ == "__main__":
    sys.exit(main())
