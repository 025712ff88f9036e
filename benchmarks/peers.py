"""The programs that ggmlkit is compared with: found, or built for this machine.

vendor/versions.json has their versions. These variables name files that are already there:

LLAMA_CPP_BIN      folder of llama.cpp's tools; otherwise they are built from the source release of
                   the package llama-cpp-python
LLAMA_CPP_CONVERT  its convert_hf_to_gguf.py; otherwise that of the same release
LLAMA_CPP_PYTHON   folder to import the binding `llama_cpp` of the same build from
IK_LLAMA_BIN       folder of ik_llama.cpp's tools
IK_LLAMA_SOURCE    a checkout of it to build: no package registry holds it
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

LLAMA_CPP = "llama.cpp"
IK_LLAMA = "ik_llama.cpp"

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "peers"  # of both `make bench` and `make peers`

# What benchmarks run, and what tests/peers run.
_LLAMA_CPP_TOOLS = (
    "llama-bench", "llama-batched-bench", "llama-quantize", "llama-completion",
)  # fmt: skip
LLAMA_CPP_TEST_TOOLS = ("llama-quantize", "llama-imatrix", "llama-perplexity", "llama-server")
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
        """The versions that each peer's own tools print."""
        tools = {LLAMA_CPP: "llama-bench", IK_LLAMA: "llama-cli"}
        return {s: _version([self.tool(s, tools[s]), "--version"]) for s in self.folders}


def versions() -> dict[str, dict[str, str]]:
    """The entries of vendor/versions.json, by third-party part."""
    parts: dict[str, dict[str, str]] = json.loads((ROOT / "vendor/versions.json").read_text())
    return parts


def find(build: Path) -> Peers:
    """All peers that are there or can be built into `build`."""
    folders: dict[str, Path] = {}
    missing: list[str] = []
    finders = {LLAMA_CPP: llama_cpp, IK_LLAMA: _ik_llama}
    for system, finder in finders.items():
        try:
            folders[system] = finder(build)
        except (OSError, subprocess.CalledProcessError) as error:
            missing.append(f"{system}: {error}")
    converter = _converter(build)
    if converter is None:
        missing.append("llama.cpp's converter: set LLAMA_CPP_CONVERT")
    return Peers(folders, binding(build), converter, missing)


def llama_cpp(build: Path, tools: Sequence[str] = _LLAMA_CPP_TOOLS) -> Path:
    """Folder of llama.cpp's `tools`, built into `build` unless LLAMA_CPP_BIN names it."""
    named = os.environ.get("LLAMA_CPP_BIN")
    if named:
        return _checked(Path(named), tools)
    source = _sdist(build) / versions()[LLAMA_CPP]["folder"]
    return _built(source, build / LLAMA_CPP, tools)


def _ik_llama(build: Path) -> Path:
    named, source = os.environ.get("IK_LLAMA_BIN"), os.environ.get("IK_LLAMA_SOURCE")
    if named:
        return _checked(Path(named), _IK_LLAMA_TOOLS)
    if source:
        return _built(Path(source), build / IK_LLAMA, _IK_LLAMA_TOOLS)
    pin = versions()[IK_LLAMA]
    raise FileNotFoundError(
        f"set IK_LLAMA_BIN, or IK_LLAMA_SOURCE to a checkout of {pin['from']} at {pin['commit']}"
    )


def binding(build: Path) -> Path | None:
    """Folder to import `llama_cpp` from; None where there is none."""
    named = os.environ.get("LLAMA_CPP_PYTHON")
    if named:
        return Path(named).resolve()
    release = _release(build)
    return release if release.is_dir() else None


def _converter(build: Path) -> Path | None:
    named = os.environ.get("LLAMA_CPP_CONVERT")
    if named:
        return Path(named).resolve()
    script = _release(build) / versions()[LLAMA_CPP]["folder"] / "convert_hf_to_gguf.py"
    return script if script.exists() else None


def _checked(folder: Path, tools: Sequence[str]) -> Path:
    absent = [tool for tool in tools if not (folder / tool).exists()]
    if absent:
        raise FileNotFoundError(f"{folder} has no {', '.join(absent)}")
    return folder.resolve()


def _release(build: Path) -> Path:
    """Where the unpacked source release of llama-cpp-python lies, or will lie."""
    pin = versions()[LLAMA_CPP]
    return build / f"{pin['sdist'].replace('-', '_')}-{pin['version']}"


def _sdist(build: Path) -> Path:
    """The unpacked source release of llama-cpp-python, downloaded where it is not there."""
    release, pin = _release(build), versions()[LLAMA_CPP]
    if release.is_dir():
        return release
    build.mkdir(parents=True, exist_ok=True)
    archive = release.with_name(f"{release.name}.tar.gz")
    if not archive.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
        package = f"{pin['sdist']}=={pin['version']}"
        run([*pip, "--no-build-isolation", "--dest", str(build), package])
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != pin["sha256"]:
        raise OSError(
            f"{archive} has SHA-256 {found}, not {pin['sha256']}; delete it and try again"
        )
    with tarfile.open(archive) as tar, tempfile.TemporaryDirectory(dir=build) as partial:
        tar.extractall(partial, filter="data")
        (Path(partial) / release.name).rename(release)
    archive.unlink()
    return release


def _built(source: Path, build: Path, tools: Sequence[str]) -> Path:
    """The tools, built for this machine unless they are there."""
    folder = build / "bin"
    if not all((folder / tool).exists() for tool in tools):
        settings = ("CMAKE_BUILD_TYPE=Release", "GGML_NATIVE=ON", "LLAMA_CURL=OFF",
                    "LLAMA_OPENSSL=OFF", "LLAMA_BUILD_TESTS=OFF")  # fmt: skip
        defines = [f"-D{setting}" for setting in settings]
        run(["cmake", "-S", str(source), "-B", str(build), "-G", "Ninja", *defines])
        run(["cmake", "--build", str(build), "--target", *tools])
    return _checked(folder, tools)


def run(command: Sequence[str]) -> None:
    """Print a command and run it in this environment."""
    print("$", *command, flush=True)
    # cmake and ninja lie beside the interpreter of the development environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})


def _version(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    version = re.search(r"version:?\s*(.*)", done.stdout + done.stderr)
    return version[1] if version else "unknown version"
