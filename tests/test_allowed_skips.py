"""In CI, a skip that is not listed is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from allowed_skips import OTHER_SETS, OWN_SETS, forbidden
from paths import ROOT

SUITE = {
    "test_reasons.py": """
import pytest
def test_skipped(): pytest.skip("no such program")
@pytest.mark.skipif(True, reason="not here")
def test_marked(): pass
@pytest.fixture
def absent(): pytest.skip("nothing to give")
def test_by_fixture(absent): pass
@pytest.mark.xfail(strict=True)
def test_known_to_fail(): assert False
def test_passing(): pass
""",
    "test_whole_file.py": """
import pytest
pytest.importorskip("a_package_that_nobody_has")
""",
}


def outcome(folder: Path, skips: str | None) -> str:
    """The summary that pytest prints for SUITE."""
    for name, text in SUITE.items():
        (folder / name).write_text(text)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT / "python")])}
    env.pop("GGMLKIT_SKIPS", None)
    if skips is not None:
        env["GGMLKIT_SKIPS"] = skips
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider"]
    command.append("--continue-on-collection-errors")
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
    assert not done.stderr
    return done.stdout


def test_other_skips_fail_by_name(tmp_path: Path) -> None:
    summary = outcome(tmp_path, "listed")
    assert "1 failed, 1 passed, 1 xfailed, 3 errors" in summary
    assert "skipped, but GGMLKIT_SKIPS=listed" in summary
    for reason in ("no such program", "not here", "nothing to give", "a_package_that_nobody_has"):
        assert reason in summary


def test_outside_ci_tests_can_be_skipped(tmp_path: Path) -> None:
    assert "1 passed, 4 skipped, 1 xfailed" in outcome(tmp_path, None)


def test_missing_instruction_sets_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GGMLKIT_SKIPS", "listed")
    test = "tests/kernels/test_native.py::test_this_processor[x]"
    for isa in OWN_SETS:
        assert forbidden(test, f"GGMLKIT_ISA={isa}, but this processor lacks it") is None
        # In this case, the build is wrong, not the processor.
        assert forbidden(test, f"GGMLKIT_ISA={isa} is no instruction set of this build")
    for isa in OTHER_SETS:
        assert forbidden(test, f"GGMLKIT_ISA={isa} is no instruction set of this build") is None
    assert forbidden(test, "GGMLKIT_ISA=scalar, but this processor lacks it")
    assert forbidden("tests/io/test_x.py", "GGMLKIT_ISA=amx, but this processor lacks it")


def test_other_programs_are_for_make_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GGMLKIT_SKIPS", "listed")
    assert forbidden("tests/peers/test_llama_cpp.py", "LLAMA_CPP_BIN is not set") is None
    monkeypatch.setenv("GGMLKIT_SKIPS", "none")
    assert forbidden("tests/peers/test_llama_cpp.py", "LLAMA_CPP_BIN is not set")
