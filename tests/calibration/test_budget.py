"""The choice of types under a budget: exact, and within it."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from ggmlkit import types
from ggmlkit.calibration.budget import Option, cheapest, check_scipy
from ggmlkit.errors import ArgumentError, ArgumentTypeError
from ggmlkit.quantization.size import parsed_size

KINDS = [types.get(name) for name in ("q4_0", "q5_0", "q8_0")]


def random_options(seed: int, count: int = 7) -> dict[str, list[Option]]:
    random = np.random.default_rng(seed)
    found = {}
    for number in range(count):
        weights, cost = int(random.integers(32, 5000)), float(random.exponential())
        found[f"m{number}"] = [
            Option(kind, int(weights * kind.bits_per_weight), cost * factor)
            for kind, factor in zip(KINDS, (1.0, 0.3, 0.01), strict=True)
        ]
    return found


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_best_of_all(seed: int) -> None:
    options = random_options(seed)
    least, most = (sum(own[at].nbytes for own in options.values()) for at in (0, -1))
    room = least + (most - least) * (seed + 1) // 10
    found = cheapest(options, room)
    assert sum(option.nbytes for option in found.values()) <= room
    costs = [
        sum(option.cost for option in each)
        for each in itertools.product(*options.values())
        if sum(option.nbytes for option in each) <= room
    ]
    assert sum(option.cost for option in found.values()) == pytest.approx(min(costs), rel=1e-4)


def test_the_least_room_and_more_than_enough() -> None:
    options = random_options(1)
    least = sum(own[0].nbytes for own in options.values())
    assert {each.type.name for each in cheapest(options, least).values()} == {"q4_0"}
    assert {each.type.name for each in cheapest(options, 1 << 60).values()} == {"q8_0"}
    with pytest.raises(ArgumentError, match=f"the least is {least:,}"):
        cheapest(options, least - 1)


def test_a_larger_type_that_costs_more_is_not_taken() -> None:
    options = {"m": [Option(KINDS[0], 100, 1.0), Option(KINDS[1], 200, 2.0)]}
    assert cheapest(options, 1000)["m"].type.name == "q4_0"


def test_scipy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ArgumentError, match=r"pip install ggmlkit\[calibration\]"):
        check_scipy()


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("90MB", 90_000_000), ("1.5 gb", 1_500_000_000), ("2GiB", 2 << 30), ("123", 123), (123, 123)],
)
def test_sizes(text: str | int, nbytes: int) -> None:
    assert parsed_size(text).of_file(1000, 50) == nbytes


def test_bits_are_those_of_weights() -> None:
    assert parsed_size("4.5bpw").of_file(1600, 50) == 50 + 900


@pytest.mark.parametrize("text", ["", "x", "4.5", "0MB", "-1", "4bp", "1e3", "nan", "4,5bpw"])
def test_other_words_are_no_sizes(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"size must be as in 4\.5bpw, 800MB or 2GB"):
        parsed_size(text)


@pytest.mark.parametrize("size", [None, True, 4.5, b"4.5bpw"])
def test_other_things_are_no_sizes(size: object) -> None:
    with pytest.raises(ArgumentTypeError, match="size must be"):
        parsed_size(size)  # type: ignore[arg-type]
