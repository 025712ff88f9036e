"""Runs a script for another processor: SIMDe emulates wider vectors with AVX2, QEMU emulates whole
processors."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pybind11
import pytest

from paths import ROOT

ON_X86 = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="only on x86-64: this emulates one of its processors"
)
BLOCKS = Path(__file__).with_name("blocks.py")
X86_SETS = ["avx2", "avxvnni", "avx512", "avx512vnni", "amx"]
Result = subprocess.CompletedProcess[str]


def run_python(arguments: Sequence[str], env: Mapping[str, str], cpu: str | None = None) -> Result:
    """This Python with ``env`` added, on this processor or on QEMU's ``cpu``."""
    command = [sys.executable, *arguments]
    if cpu is not None:
        command = [qemu(), "-cpu", cpu, *command]
    paths = [str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    full = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **env}
    return subprocess.run(command, env=full, capture_output=True, text=True, cwd=ROOT)


def digests(env: Mapping[str, str], blocks: int = 20_000, cpu: str | None = None) -> dict[str, str]:
    """blocks.digests() in another process; ``isa`` is the instruction set that it used."""
    result = run_python([str(BLOCKS), str(blocks)], env, cpu)
    assert result.returncode == 0, result.stderr
    found: dict[str, str] = json.loads(result.stdout)
    return found


def qemu() -> str:
    path = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
    if path is None:
        pytest.skip("needs QEMU's user mode (qemu-user-static)")
    return path


@functools.cache
def built(preset: str) -> Path:
    """The folder of a build by one of CMakePresets.json, made or updated.

    ``"simde"`` has the compiled module and the programs of tests/native with wider vectors emulated
    by AVX2, ``"programs"`` has these programs for this processor, ``"arm"`` for an ARM processor.
    Only one of the test processes makes each build. The build that ``make build`` left in the
    environment has compiled most of ``"programs"`` already.
    """
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    cmake = shutil.which("cmake", path=tools)
    if cmake is None or shutil.which("ninja", path=tools) is None:
        pytest.skip("needs cmake and ninja")
    python = [f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]
    (ROOT / "build").mkdir(exist_ok=True)
    installed = Path(sys.prefix) / "build"
    if preset == "programs" and (installed / "build.ninja").exists():
        folder = installed
        steps = [[cmake, "--build", str(folder), "--target", "kernel_check", "kernel_cost"]]
    else:
        folder = ROOT / "build" / preset
        steps = [[cmake, *python, "--preset", preset], [cmake, "--build", "--preset", preset]]
    # One process builds, others wait, as tests run in several.
    with (ROOT / "build" / f".{preset}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in steps:
            done = subprocess.run(
                command, env={**os.environ, "PATH": tools}, capture_output=True, text=True, cwd=ROOT
            )
            if "Could NOT find SIMDe" in done.stderr:  # as vendor/cmake/FindSIMDe.cmake says
                pytest.skip("needs SIMDe (libsimde-dev)")
            assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return folder
