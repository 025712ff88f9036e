"""Every instruction set gives the same bits; a set that is not there is a clear error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("blocks.py")


def run(isa: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "GGMLKIT_ISA": isa}
    return subprocess.run([sys.executable, str(SCRIPT)], env=env, capture_output=True, text=True)


@pytest.mark.parametrize("isa", ["avx2"])
def test_bits_equal_scalar(isa: str) -> None:
    other = run(isa)
    if "lacks" in other.stderr or "no instruction set" in other.stderr:
        pytest.skip(f"this machine or build has no {isa}")
    assert other.returncode == 0, other.stderr
    found, expected = json.loads(other.stdout), json.loads(run("scalar").stdout)
    assert (found.pop("isa"), expected.pop("isa")) == (isa, "scalar")
    assert found == expected


def test_unknown_set_is_named() -> None:
    result = run("mmx")
    assert result.returncode != 0
    assert "GGMLKIT_ISA=mmx is no instruction set of this build" in result.stderr
