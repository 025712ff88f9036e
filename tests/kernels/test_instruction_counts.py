"""The hot kernels need no more instructions than before, counted by callgrind.

Unlike times, counts don't depend on the machine's load. They depend on the compiler: each compiler
of CI's images has its own counts, and any other must stay near the largest of these.
`python tests/kernels/test_instruction_counts.py` counts again with this machine's compiler;
`… PROGRAM "gcc 13"` counts a `kernel_cost` that another compiler built.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from emulation import ON_X86, built

pytestmark = ON_X86
COUNTS = Path(__file__).with_name("instruction_counts.json")
GROWTH = 1.10
ANOTHER_COMPILER = 1.25  # factor of the largest count in the file
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
    """The native program that runs one kernel; skips if it can't be built or counted."""
    for tool in ("valgrind", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    return built("programs") / "kernel_cost"


@pytest.mark.parametrize("case", CASES)
def test_a_kernel_takes_no_more_instructions(case: str, program: Path, tmp_path: Path) -> None:
    found = instructions(program, case, tmp_path)
    if found is None:
        pytest.skip(f"GGMLKIT_ISA={ISA}, but this processor lacks it")
    assert found <= most(case, compiler(), json.loads(COUNTS.read_text()))


def test_every_case_is_counted_with_the_compilers_of_ci() -> None:
    counts = json.loads(COUNTS.read_text())
    assert counts.keys() >= {"gcc 12", "gcc 13"}
    assert {name: sorted(found) for name, found in counts.items()} == dict.fromkeys(
        counts, sorted(CASES)
    )


def test_an_unknown_compiler_is_held_to_the_largest_count() -> None:
    counts = {"gcc 12": {"pack q4_0": 100}, "clang 18": {"pack q4_0": 120}}
    assert most("pack q4_0", "gcc 12", counts) == pytest.approx(110)
    assert most("pack q4_0", "gcc 99", counts) == pytest.approx(150)


def most(case: str, compiler: str, counts: Mapping[str, Mapping[str, int]]) -> float:
    """The allowed number of instructions of `case` when built by `compiler`."""
    if compiler in counts:
        return counts[compiler][case] * GROWTH
    return max(found[case] for found in counts.values()) * ANOTHER_COMPILER


def instructions(program: Path, case: str, folder: Path) -> int | None:
    """Instructions of one case; None if the instruction set is refused."""
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
    """Name and major version, such as `gcc 12`."""
    version = subprocess.run(["c++", "-dumpversion"], capture_output=True, text=True).stdout
    kind = subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout
    return f"{'clang' if 'clang' in kind else 'gcc'} {version.split('.')[0].strip()}"


def main() -> int:
    """Count every case and write the file."""
    path, name = sys.argv[1:] or (built("programs") / "kernel_cost", compiler())
    counts = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        counts[name] = {case: instructions(Path(path), case, Path(folder)) for case in CASES}
    COUNTS.write_text(json.dumps(counts, indent=1) + "\n")
    print(json.dumps(counts[name], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
