"""How many guesses are verified."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ggmlkit.engine.speculation.pace import Pace


def decode(
    chance: float, cost: Callable[[int], float], tokens: int = 1500, texts: int = 1
) -> tuple[float, float]:
    """Time of so many tokens of each text, and of steps without guesses, where guesses are right
    by chance and a step of n rows takes cost(n)."""
    random = np.random.default_rng(7)
    pace = Pace()
    taken, given = 0.0, 0
    while given < tokens * texts:
        counts = pace.chosen([[chance**place for place in range(1, 15)]] * texts)
        rows = texts + sum(counts)
        new = texts
        for count in counts:
            wrong = np.flatnonzero(random.random(count) >= chance)
            new += int(wrong[0]) if wrong.size else count
        seconds = cost(rows) * random.uniform(0.95, 1.05)
        pace.learn(texts, rows, new, seconds)
        taken += seconds
        given += new
    return taken, given / texts * cost(texts)


def flat(rows: int) -> float:
    return 1 + 0.05 * (rows - 1)


def in_panels(rows: int) -> float:
    return 1.0 if rows == 1 else 1 + 0.9 * -(-rows // 8)


def steep(rows: int) -> float:
    return 1.2 * rows


@pytest.mark.parametrize("cost", [flat, in_panels])
def test_good_guesses_pay(cost: Callable[[int], float]) -> None:
    taken, plain = decode(0.95, cost)
    best = max((sum(0.95**i for i in range(n + 1))) / cost(n + 1) for n in range(15))
    assert plain / taken > 0.85 * best / (1 / cost(1))


@pytest.mark.parametrize("cost", [flat, in_panels, steep])
@pytest.mark.parametrize("chance", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("texts", [1, 4])
def test_bad_guesses_cost_next_to_nothing(
    cost: Callable[[int], float], chance: float, texts: int
) -> None:
    taken, plain = decode(chance, cost, texts=texts)
    assert taken < 1.02 * plain


def test_likelier_guesses_go_first() -> None:
    pace = Pace()
    pace.learn(2, 2, 2, 1.0)
    first, second = pace.chosen([[0.1, 0.01], [0.99, 0.98, 0.97]])
    assert (first, second) == (0, 3)


def test_without_a_step_to_compare_with_nothing_is_guessed() -> None:
    assert Pace().chosen([[1.0, 1.0]]) == [0]


def test_a_time_that_was_an_accident_is_forgotten() -> None:
    pace = Pace()
    pace.learn(1, 1, 1, 1.0)
    pace.learn(1, 15, 15, 40.0)  # such as a pause of the machine
    waited = 0
    while not any(pace.chosen([[0.99**n for n in range(1, 15)]])):
        pace.learn(1, 1, 1, 1.0)
        waited += 1
        assert waited < 2000
    assert waited < 2000
