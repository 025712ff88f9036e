"""What ``make`` would run, read from its dry run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from paths import ROOT


def commands(target: str, *settings: str) -> list[str]:
    """The lines that ``make target`` would run."""
    if shutil.which("make") is None:
        pytest.skip("no make")
    run = ["make", "--dry-run", "--always-make", target, *settings]
    return subprocess.run(
        run, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()


@pytest.mark.parametrize("target", ["build", "demo"])
def test_an_environment_has_a_build_folder_of_its_own(target: str, tmp_path: Path) -> None:
    (install,) = [
        line for line in commands(target, f"VENV={tmp_path}") if line.endswith("--editable .")
    ]
    assert f"-C build-dir={tmp_path}/build " in install
    assert "build-dir" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", ["build", "demo"])
def test_compiling_is_announced_and_shown(target: str) -> None:
    lines = commands(target)
    (at,) = [i for i, line in enumerate(lines) if line.endswith("--editable .")]
    assert lines[at - 1].startswith('echo "Compiling the C++ core')
    words = lines[at].split()
    assert "-v" in words
    assert "-q" not in words


def test_help_and_the_guide_tell_every_target() -> None:
    source = (ROOT / "Makefile").read_text(encoding="utf-8")
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", source, re.MULTILINE)
    targets = set(phony.split()) - {"help"}
    assert (
        set(re.findall(r"^echo \"make (\w+) ", "\n".join(commands("help")), re.MULTILINE))
        == targets
    )
    assert set(re.findall(r"^\| `make (\w+)` \|", guide, re.MULTILINE)) == targets
