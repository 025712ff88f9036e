"""The programs measured against: found, or built natively for this machine.

LLAMA_CPP_BIN      folder of llama.cpp's tools; else it is built from the sources that the
                   package llama-cpp-python carries
LLAMA_CPP_CONVERT  its convert_hf_to_gguf.py; else that of the same sources
LLAMA_CPP_PYTHON   folder that the binding `llama_cpp` of the same build is imported from
IK_LLAMA_BIN       folder of ik_llama.cpp's tools
IK_LLAMA_SOURCE    a checkout of it to build: no package registry holds it
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

LLAMA_CPP = "llama.cpp"
IK_LLAMA = "ik_llama.cpp"

_PACKAGE = "llama-cpp-python==0.3.36"
_LLAMA_CPP_TOOLS = (
    "llama-bench", "llama-batched-bench", "llama-quantize", "llama-completion",
)  # fmt: skip
_IK_LLAMA_TOOLS = ("llama-bench", "llama-batched-bench", "llama-quantize", "llama-cli")


@dataclass(frozen=True)
class Peers:
    """Folders of tools by system, and why others are missing."""

    folders: dict[str, Path] = field(default_factory=dict)
    binding: Path | None = None  # put on PYTHONPATH to import llama_cpp
    converter: Path | None = None  # llama.cpp's convert_hf_to_gguf.py
    missing: list[str] = field(default_factory=list)

    def tool(self, system: str, name: str) -> str:
        return str(self.folders[system] / name)

    def versions(self) -> dict[str, str]:
        """What each peer's own tools say they are."""
        tools = {LLAMA_CPP: "llama-bench", IK_LLAMA: "llama-cli"}
        return {s: _version([self.tool(s, tools[s]), "--version"]) for s in self.folders}


def find(build: Path) -> Peers:
    """Every peer that is there or can be built into `build`."""
    folders: dict[str, Path] = {}
    missing: list[str] = []
    finders = {LLAMA_CPP: _llama_cpp, IK_LLAMA: _ik_llama}
    for system, finder in finders.items():
        try:
            folders[system] = finder(build)
        except (OSError, subprocess.CalledProcessError) as error:
            missing.append(f"{system}: {error}")
    converter = _converter(build)
    if converter is None:
        missing.append("llama.cpp's converter: set LLAMA_CPP_CONVERT")
    return Peers(folders, _binding(build), converter, missing)


def _llama_cpp(build: Path) -> Path:
    named = os.environ.get("LLAMA_CPP_BIN")
    if named:
        return _checked(Path(named), _LLAMA_CPP_TOOLS)
    source = _sdist(build) / "vendor" / "llama.cpp"
    return _built(source, build / LLAMA_CPP, _LLAMA_CPP_TOOLS)


def _ik_llama(build: Path) -> Path:
    named, source = os.environ.get("IK_LLAMA_BIN"), os.environ.get("IK_LLAMA_SOURCE")
    if named:
        return _checked(Path(named), _IK_LLAMA_TOOLS)
    if source:
        return _built(Path(source), build / IK_LLAMA, _IK_LLAMA_TOOLS)
    raise FileNotFoundError("set IK_LLAMA_BIN or IK_LLAMA_SOURCE")


def _binding(build: Path) -> Path | None:
    named = os.environ.get("LLAMA_CPP_PYTHON")
    if named:
        return Path(named).resolve()
    return next(iter(build.glob("llama_cpp_python-*/")), None)


def _converter(build: Path) -> Path | None:
    named = os.environ.get("LLAMA_CPP_CONVERT")
    if named:
        return Path(named).resolve()
    return next(iter(build.glob("llama_cpp_python-*/vendor/llama.cpp/convert_hf_to_gguf.py")), None)


def _checked(folder: Path, tools: Sequence[str]) -> Path:
    absent = [tool for tool in tools if not (folder / tool).exists()]
    if absent:
        raise FileNotFoundError(f"{folder} has no {', '.join(absent)}")
    return folder.resolve()


def _sdist(build: Path) -> Path:
    """The unpacked sources of llama-cpp-python."""
    build.mkdir(parents=True, exist_ok=True)
    if not list(build.glob("llama_cpp_python-*/")):
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
        _run([*pip, "--no-build-isolation", "--dest", str(build), _PACKAGE])
        (archive,) = build.glob("llama_cpp_python-*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(build, filter="data")
        archive.unlink()
    return next(build.glob("llama_cpp_python-*/"))


def _built(source: Path, build: Path, tools: Sequence[str]) -> Path:
    """The tools, built with this machine's instructions; at once when they are there."""
    folder = build / "bin"
    if not all((folder / tool).exists() for tool in tools):
        settings = ("CMAKE_BUILD_TYPE=Release", "GGML_NATIVE=ON", "LLAMA_CURL=OFF",
                    "LLAMA_OPENSSL=OFF", "LLAMA_BUILD_TESTS=OFF")  # fmt: skip
        defines = [f"-D{setting}" for setting in settings]
        _run(["cmake", "-S", str(source), "-B", str(build), "-G", "Ninja", *defines])
        _run(["cmake", "--build", str(build), "--target", *tools])
    return _checked(folder, tools)


def _run(command: Sequence[str]) -> None:
    print("$", *command, flush=True)
    # cmake and ninja lie beside the interpreter of the development environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})


def _version(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = re.search(r"version:?\s*(.*)", done.stdout + done.stderr)
    return said[1] if said else "unknown version"
