"""Every instruction set gives the same bits, and the same products except for rounding; a missing
set is a clear error. Sets that this processor lacks run emulated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulation import BLOCKS, X86_SETS, built, digests, run_python

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def scalar() -> dict[str, str]:
    return digests({"GGMLKIT_ISA": "scalar"})


@pytest.fixture(scope="session", params=X86_SETS)
def isa(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment variables with which this set runs."""
    name = {"GGMLKIT_ISA": request.param}
    result = run_python([str(BLOCKS), "0"], name)
    if result.returncode == 0:
        return name
    *_, reason = result.stderr.strip().splitlines()
    reason = reason.removeprefix("RuntimeError: ").removeprefix("ImportError: ")
    assert reason.startswith(f"GGMLKIT_ISA={request.param}"), result.stderr
    if "lacks" not in reason or "GGMLKIT_CORE" in os.environ:
        pytest.skip(reason)
    return {**name, "GGMLKIT_CORE": str(built("simde"))}


def test_bits_equal_scalar(isa: dict[str, str], scalar: dict[str, str]) -> None:
    found = digests(isa)
    assert found.pop("isa") == isa["GGMLKIT_ISA"]
    assert found == {k: v for k, v in scalar.items() if k != "isa"}


def test_products(isa: dict[str, str]) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-k", "not forked"]
    result = run_python(["-m", "pytest", *options, str(HERE / "test_matmul.py")], isa)
    assert result.returncode == 0, result.stdout[-4000:]


def test_sequences_are_exact(isa: dict[str, str]) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-k", "few_steps"]
    tests = HERE.parent / "engine" / "test_exactness.py"
    result = run_python(["-m", "pytest", *options, str(tests)], isa)
    assert result.returncode == 0, result.stdout[-4000:]


def test_unknown_set_is_named() -> None:
    result = run_python([str(BLOCKS), "0"], {"GGMLKIT_ISA": "mmx"})
    assert result.returncode != 0
    assert "GGMLKIT_ISA=mmx is no instruction set of this build" in result.stderr
