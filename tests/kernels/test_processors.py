"""One build runs on old and new processors: tested under QEMU, and by inspecting its objects."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emulation import BLOCKS, ON_X86, X86_SETS, digests, run_python
from paths import ROOT

pytestmark = ON_X86

FEW = 200  # blocks; QEMU is slow


def test_a_processor_without_avx_runs_scalar() -> None:
    found = digests({"GGMLKIT_ISA": ""}, FEW, cpu="Nehalem")
    assert found == digests({"GGMLKIT_ISA": "scalar"}, FEW)


def test_the_library_works_without_avx() -> None:
    result = run_python([str(ROOT / "tests" / "smoke.py")], {"GGMLKIT_ISA": ""}, cpu="Nehalem")
    assert result.returncode == 0, result.stderr


def test_a_processor_with_avx2_runs_it() -> None:
    # "max" is limited in QEMU 7: it has AVX2, but nothing newer.
    found = digests({"GGMLKIT_ISA": ""}, FEW, cpu="max")
    assert found == {**digests({"GGMLKIT_ISA": "scalar"}, FEW), "isa": "avx2"}


@pytest.mark.parametrize("isa", X86_SETS)
def test_a_set_that_is_not_there_is_refused(isa: str) -> None:
    result = run_python([str(BLOCKS), "0"], {"GGMLKIT_ISA": isa}, cpu="Nehalem")
    assert result.returncode != 0
    assert f"GGMLKIT_ISA={isa}, but this processor lacks AVX" in result.stderr


def objects(library: str) -> list[Path]:
    """Object files of one CMake target of the build that ``make build`` left in the environment."""
    folder = Path(sys.prefix) / "build"
    found = sorted(folder.glob(f"CMakeFiles/{library}.dir/**/*.o"))
    if not found:
        pytest.skip(f"no objects of {library} in {folder}")
    return found


def output_of(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_common_objects_need_sse2_only() -> None:
    # Instructions from SSE3 to AVX-512 that a compiler could use; every AVX mnemonic begins with v.
    younger = r"v\w+|hadd\w+|mov[sd]\wdup|p(shufb|alignr|maddubsw|abs\w|test|mulld|popcnt)|popcnt"
    younger += r"|p(min|max)(sb|sd|uw|ud)|p(ins|ext)r[bdq]|pmov[sz]x\w+|round[sp][sd]|p?blend\w+"
    for path in objects("_core") + objects("decoder") + objects("common"):
        code = output_of("objdump", "-d", "--no-show-raw-insn", str(path))
        found = re.findall(rf"^\s*[0-9a-f]+:\s+({younger})\s", code, re.MULTILINE)
        assert not found, path.name


@pytest.mark.parametrize("isa", X86_SETS)
def test_kernel_objects_share_no_function(isa: str) -> None:
    # The linker keeps one copy of a weak function, which can be the one with these instructions.
    for path in objects(f"kernels_{isa}"):
        symbols = output_of("nm", "-C", "--defined-only", str(path)).splitlines()
        assert not [s for s in symbols if re.search(r" [uWw] ", s)], path.name
