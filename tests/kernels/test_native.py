"""Every function of every instruction set, compared with scalar's, without Python: so that the sets
of other processors run too, on an emulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from emulation import ON_X86, X86_SETS, built

CROSS = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64-static"
NEON = ["neon", "neon_dotprod", "neon_i8mm"]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def native() -> Path:
    return built("programs") / "kernel_check"


@pytest.fixture
def emulated() -> Path:
    return built("simde") / "kernel_check"


@pytest.fixture
def arm() -> Path:
    for tool in (CROSS, EMULATOR):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}")
    return built("arm") / "kernel_check"


@pytest.mark.parametrize("isa", ["scalar", *X86_SETS, *NEON])
def test_this_processor(native: Path, isa: str) -> None:
    result = run(native, isa)
    if "lacks" in result.stdout or "no instruction set" in result.stdout:
        pytest.skip(result.stdout.strip())
    assert result.returncode == 0, result.stdout


# Also if the processor has them, as the emulation must support all intrinsics that they use.
@ON_X86
@pytest.mark.parametrize("isa", X86_SETS[1:])
def test_wider_sets_emulated(emulated: Path, isa: str) -> None:
    result = run(emulated, isa)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("isa", ["scalar", *NEON])
def test_an_arm_processor_with_all(arm: Path, isa: str) -> None:
    result = run(EMULATOR, "-cpu", "max", arm, isa)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith(f"{isa}: ")


@pytest.mark.parametrize(
    ("cpu", "has", "lacks"),
    [
        ("cortex-a57", ["neon"], {"neon_dotprod": "dot product", "neon_i8mm": "dot product"}),
        ("cortex-a76", ["neon_dotprod"], {"neon_i8mm": "int8 matrix multiply"}),
    ],
)
def test_arm_processors_with_less(
    arm: Path, cpu: str, has: list[str], lacks: dict[str, str]
) -> None:
    result = run(EMULATOR, "-cpu", cpu, arm, *has)
    assert result.returncode == 0, result.stdout + result.stderr
    for isa, what in lacks.items():
        result = run(EMULATOR, "-cpu", cpu, arm, isa)
        assert result.returncode == 2, result.stdout + result.stderr
        assert f"GGMLKIT_ISA={isa}, but this processor lacks" in result.stdout
        assert what in result.stdout
