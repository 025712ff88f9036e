"""A disk with no or too little room: the old file stays, and no temporary files are left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ggmlkit as gk
from killed_writer import JOBS
from paths import ROOT

HERE = Path(__file__).parent
# Mounts in a new user namespace, which need no rights; or those of root, if it is allowed to mount.
_NAMESPACES = (["--user", "--map-root-user", "--mount"], ["--mount"])


def _private_mounts() -> list[str] | None:
    """A command that runs another one with the right to mount, or None."""
    if shutil.which("unshare") is None:
        return None
    for options in _NAMESPACES:
        command = ["unshare", *options]
        probe = [*command, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return command
    return None


def test_a_disk_without_enough_room(tmp_path: Path) -> None:
    mounts = _private_mounts()
    if mounts is None:
        pytest.skip("this system lets no test mount a disk; limits on file sizes stand in for it")
    package = Path(gk.__file__).parents[1]
    path = [
        package,
        HERE,
        ROOT / "tests",
        ROOT / "tests" / "fuzz",
        os.environ.get("PYTHONPATH", ""),
    ]
    jobs = [job for job in JOBS if job != "edit_in_place"]  # it needs no room
    done = subprocess.run(
        [*mounts, sys.executable, str(HERE / "full_disk.py"), str(tmp_path), *jobs],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    failures = dict(line.split() for line in done.stdout.splitlines())
    assert list(failures) == jobs
    assert all(int(count) >= 2 for count in failures.values()), failures
