"""The hot kernels take no more instructions than they used to, counted by callgrind.

Counts don't depend on how busy the machine is, as times do; they depend on the compiler, so each
has its own. `python tests/kernels/test_instruction_counts.py` measures anew and rewrites the file.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emulation import ONE_PROCESS, built

pytestmark = ONE_PROCESS
COUNTS = Path(__file__).with_name("instruction_counts.json")
GROWTH = 1.10
ISA = "avx2"  # valgrind 3.19 knows no AVX-512
CASES = [
    *(f"matmul {type} {tokens}" for type in ("q4_0", "q5_0", "q8_0") for tokens in (1, 8, 64)),
    *(
        f"matmul {type} {tokens}"
        for type in ("q2_K", "q3_K", "q4_K", "q6_K", "iq4_nl", "mxfp4", "q2_0")
        for tokens in (1, 64)
    ),
    *(f"pack {type}" for type in ("q3_K", "q4_K", "q6_K", "iq4_nl", "q2_0")),
    *(
        f"{kernel} {type}"
        for kernel in ("quantize", "dequantize", "pack", "stored")
        for type in ("q4_0", "q5_0", "q8_0")
    ),
]


@pytest.fixture(scope="module")
def program() -> Path:
    """The native program that runs one kernel; skips where it can't be built or counted."""
    for tool in ("valgrind", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    return built("programs") / "kernel_cost"


@pytest.mark.parametrize("case", CASES)
def test_a_kernel_takes_no_more_instructions(case: str, program: Path, tmp_path: Path) -> None:
    known = json.loads(COUNTS.read_text()).get(compiler(), {})
    if case not in known:
        pytest.skip(f"nobody has counted {case!r} with {compiler()}")
    found = instructions(program, case, tmp_path)
    if found is None:
        pytest.skip(f"this processor or build has no {ISA}")
    assert found <= known[case] * GROWTH


def instructions(program: Path, case: str, folder: Path) -> int | None:
    """Instructions of one case; None where the instruction set is refused."""
    out = folder / "callgrind.out"
    done = subprocess.run(
        [
            "valgrind",
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=ggmlkit::measured*",
            f"--callgrind-out-file={out}",
            str(program),
            ISA,
            *case.split(),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode == 2 and "GGMLKIT_ISA" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    found = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def compiler() -> str:
    """Name and major version, such as `c++ (Debian …) 12`."""
    said = subprocess.run(["c++", "-dumpfullversion"], capture_output=True, text=True).stdout
    kind = subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout
    return f"{'clang' if 'clang' in kind else 'gcc'} {said.split('.')[0].strip()}"


def main() -> int:
    """Count every case and write the file."""
    program = built("programs") / "kernel_cost"
    folder = program.parent
    counts = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    counts[compiler()] = {case: instructions(program, case, folder) for case in CASES}
    COUNTS.write_text(json.dumps(counts, indent=1) + "\n")
    print(json.dumps(counts[compiler()], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
