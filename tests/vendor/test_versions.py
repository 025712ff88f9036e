"""What vendor/ says of third-party parts is what the rest of the project asks for."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

import peers
from paths import ROOT

PINS = peers.versions()
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def requirement(package: str) -> set[str]:
    """Every version that pyproject.toml asks of `package`."""
    return set(re.findall(rf'"{re.escape(package)}([=><~][^"]*)"', PYPROJECT))


def test_pyproject_asks_for_the_same_versions() -> None:
    assert requirement("pybind11") == {f">={PINS['pybind11']['at_least']}"}
    assert requirement("ctransformers") == {f"=={PINS['ctransformers']['version']}"}


def test_each_part_says_what_for_and_where_from() -> None:
    for name, pin in PINS.items():
        assert pin["use"], name
        assert "https://" in pin["from"], name
        assert pin.keys() & {"at_least", "version", "commit"}, name


def test_no_version_stands_elsewhere() -> None:
    for path in ("CMakeLists.txt", "benchmarks/peers.py", "Makefile", ".ci/run"):
        text = (ROOT / path).read_text(encoding="utf-8")
        for pin in PINS.values():
            for key in pin.keys() & {"version", "commit", "sha256"}:
                assert pin[key] not in text, path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that asks for SIMDe as ours does, with vendor/ and headers of version 0.8.2."""
    shutil.copytree(ROOT / "vendor", tmp_path / "vendor")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\n"
        "project(asks LANGUAGES NONE)\n"
        "include(vendor/cmake/vendor.cmake)\n"
        "find_package(SIMDe ${GGMLKIT_SIMDE_VERSION} REQUIRED)\n"
        'message(STATUS "found ${SIMDe_VERSION}, pybind11 ${GGMLKIT_PYBIND11_VERSION}")\n'
    )
    headers = tmp_path / "simde-install" / "include" / "simde"
    (headers / "x86").mkdir(parents=True)
    (headers / "x86" / "avx512.h").touch()
    parts = zip(("MAJOR", "MINOR", "MICRO"), (0, 8, 2), strict=True)
    lines = [f"#define SIMDE_VERSION_{part} {number}\n" for part, number in parts]
    (headers / "simde-common.h").write_text("".join(lines))
    return tmp_path


def configured(project: Path) -> subprocess.CompletedProcess[str]:
    cmake = shutil.which("cmake") or str(Path(sys.executable).with_name("cmake"))
    command = [cmake, "-S", project, "-B", project / "build"]
    command.append(f"-DSIMDe_ROOT={project / 'simde-install'}")
    return subprocess.run(command, capture_output=True, text=True)


def test_cmake_finds_simde_and_knows_the_versions(project: Path) -> None:
    done = configured(project)
    assert done.returncode == 0, done.stderr
    assert f"found 0.8.2, pybind11 {PINS['pybind11']['at_least']}" in done.stdout


def test_simde_that_is_too_old_is_refused(project: Path) -> None:
    common = project / "simde-install/include/simde/simde-common.h"
    common.write_text(common.read_text().replace("MINOR 8", "MINOR 6"))
    done = configured(project)
    assert done.returncode != 0
    assert 'Found unsuitable version "0.6.2"' in " ".join(done.stderr.split())


def archive_in(folder: Path, name: str) -> Path:
    """A source release of llama.cpp that holds one empty folder."""
    path = folder / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        inside = tarfile.TarInfo(f"{name}/vendor/llama.cpp/CMakeLists.txt")
        tar.addfile(inside, io.BytesIO())
    return path


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """vendor's pins, with a release at hand in place of llama.cpp's."""
    archive = archive_in(tmp_path, "llama_cpp_python-9.9")
    pin: dict[str, Any] = {**PINS[peers.LLAMA_CPP], "version": "9.9"}
    pin["sha256"] = hashlib.sha256(archive.read_bytes()).hexdigest()
    pins = {**PINS, peers.LLAMA_CPP: pin}
    monkeypatch.setattr(peers, "versions", lambda: pins)
    monkeypatch.delenv("LLAMA_CPP_BIN", raising=False)
    return pins


def test_a_release_is_unpacked_once_and_built(
    pinned: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str]) -> None:
        commands.append(command)
        if "--target" in command:
            (tmp_path / "llama.cpp" / "bin").mkdir(parents=True)
            (tmp_path / "llama.cpp" / "bin" / "llama-quantize").touch()

    monkeypatch.setattr(peers, "run", run)
    for _ in range(2):
        assert peers.llama_cpp(tmp_path, ["llama-quantize"]) == tmp_path / "llama.cpp" / "bin"
    source = tmp_path / "llama_cpp_python-9.9" / pinned[peers.LLAMA_CPP]["folder"]
    assert [str(source) in map(str, command) for command in commands] == [True, False]
    assert not list(tmp_path.glob("*.tar.gz"))


def test_a_release_with_another_hash_is_refused(
    pinned: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    pinned[peers.LLAMA_CPP]["sha256"] = "0" * 64
    with pytest.raises(OSError, match=r"has SHA-256 .*, not 0000"):
        peers.llama_cpp(tmp_path, ["llama-quantize"])
    assert not (tmp_path / "llama_cpp_python-9.9").exists()
