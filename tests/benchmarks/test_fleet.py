"""The simulation of a fleet beside the formulas of queues, and its tables on the page."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import fleet
from fleet_simulation import (
    Autoscaling,
    Fleets,
    Floats,
    Requests,
    at_random,
    by_prefix,
    least_loaded,
    ranges,
)
from fleet_steps import Steps, steps_of

FLEETS, SECONDS = 400, 100.0


def requests_at(arrival: Floats, fleets: int, answer: Floats) -> Requests:
    """Requests without a prompt."""
    count, random = len(arrival), np.random.default_rng(2)
    fleet_of = random.integers(0, fleets, count)
    zeros = np.zeros(count)
    return Requests(arrival, fleet_of, np.zeros(count, np.int64), zeros, zeros, answer)


def poisson(rate: float, answer: Callable[[np.random.Generator, int], Floats]) -> Requests:
    """Requests to many fleets of one replica."""
    random = np.random.default_rng(1)
    count = random.poisson(rate * FLEETS * SECONDS)
    arrival = np.sort(random.random(count) * SECONDS)
    return requests_at(arrival, FLEETS, answer(random, count))


def exponential(random: np.random.Generator, count: int) -> Floats:
    return random.exponential(1.0, count)


def run(steps: Steps, requests: Requests) -> Floats:
    """Seconds that the requests waited behind the time in which queues fill, and that they took."""
    fleets = Fleets(steps, 1, fleets=FLEETS, seconds=0.01)
    fleets.run(requests, at_random, np.random.default_rng(3))
    late = requests.arrival > SECONDS / 4
    waits, stays = requests.begun - requests.arrival, requests.end - requests.arrival
    return np.array([waits[late].mean(), stays[late].mean()])


def test_one_at_a_time_waits_as_mm1() -> None:
    wait, _ = run(Steps((0.0, 1.0), 0.0), poisson(0.5, exponential))
    assert wait == pytest.approx(0.5 / (1 - 0.5), rel=0.1)  # rho / (mu - lambda)


def test_constant_answers_wait_half_as_long() -> None:
    wait, _ = run(Steps((0.0, 1.0), 0.0), poisson(0.5, lambda _, count: np.ones(count)))
    assert wait == pytest.approx(0.5, rel=0.1)


def test_sequences_that_share_a_core_take_as_long_as_processor_sharing_says() -> None:
    _, stay = run(Steps(tuple(map(float, range(30))), 0.0), poisson(0.5, exponential))
    assert stay == pytest.approx(1 / (1 - 0.5), rel=0.1)


def test_a_prompt_alone_takes_its_tokens_and_its_beginning_once() -> None:
    count = np.ones(2)
    requests = Requests(
        np.array([0.0, 100.0]), np.zeros(2, np.int64), np.full(2, 7), 1000 * count, 100 * count,
        10 * count,
    )  # fmt: skip
    Fleets(Steps((0.0, 0.5), 0.01), 1, seconds=0.05).run(
        requests, at_random, np.random.default_rng(1)
    )
    assert requests.first_token - requests.arrival == pytest.approx([11.0, 1.0], abs=0.1)
    assert requests.end - requests.first_token == pytest.approx(5.0, abs=0.1)


def test_each_request_is_answered_under_every_routing() -> None:
    steps = steps_of([1, 4], [0.01, 0.02], 0.0005)
    prefill = {}
    for route in (at_random, least_loaded, by_prefix):
        random = np.random.default_rng(3)
        full = np.full(1000, 1.0)
        requests = Requests(
            np.arange(1000) / 16, np.zeros(1000, np.int64), random.integers(0, 40, 1000),
            400 * full, 50 * full, 20 * full,
        )  # fmt: skip
        Fleets(steps, 10, cached_prefixes=4).run(requests, route, random)
        assert not np.isnan(requests.end).any()
        assert (requests.first_token > requests.arrival).all()
        prefill[route] = np.mean(requests.first_token - requests.begun)
    fewest, *others = sorted(prefill.values())
    assert fewest == prefill[by_prefix]
    assert fewest < 0.6 * others[0]


def test_what_many_want_spreads_to_the_replicas_behind_its_own() -> None:
    """One beginning that all have: its own replica could answer a tenth of them."""
    steps = steps_of([1, 4], [0.01, 0.02], 0.0005)
    random = np.random.default_rng(4)
    full = np.full(4000, 1.0)
    requests = Requests(
        np.sort(random.random(4000) * 40), np.zeros(4000, np.int64), np.full(4000, 3),
        400 * full, 5 * full, 20 * full,
    )  # fmt: skip
    Fleets(steps, 20).run(requests, by_prefix, random)
    assert np.percentile(requests.first_token - requests.arrival, 95) < 0.5
    assert list(ranges(20)) == [(1, 4), (4, 16), (16, 20)]


def test_a_bound_refuses_what_would_wait() -> None:
    steps, full = Steps((0.0, 0.5, 1.0), 0.0), np.full(400, 1.0)
    requests = requests_at(np.arange(400) / 4, 1, full)
    fleets = Fleets(steps, 1, most_waiting=3, seconds=0.05)
    fleets.run(requests, at_random, np.random.default_rng(1))
    assert requests.is_refused.mean() == pytest.approx(0.5, abs=0.05)  # it does two a second
    done = ~requests.is_refused
    assert not np.isnan(requests.end[done]).any()
    assert np.max(requests.begun[done] - requests.arrival[done]) < 3


def test_replicas_come_and_go() -> None:
    rule = Autoscaling(1, 2.0, start_up=5, period=5, patience=30)
    arrival = np.append(np.arange(1000) / 10, 100 + np.arange(200.0))
    requests = requests_at(arrival, 1, np.ones(1200))
    found = Fleets(Steps((0.0, 0.5, 1.0), 0.0), 20, seconds=0.05, autoscaling=rule)
    found.run(requests, by_prefix, np.random.default_rng(1))
    assert max(size for _, size in found.sizes) > 4
    assert found.sizes[-1][1] == 1
    assert not np.isnan(requests.end).any()


def test_the_page_has_what_is_measured() -> None:
    page = fleet.PAGE.read_text("utf-8")
    speed = fleet.read(fleet.STEPS).tokens_per_second
    assert f"measured: {speed:,.0f} tokens/s a core" in page
    assert fleet.with_tables(page, "x").count(fleet.BEGIN) == 1
