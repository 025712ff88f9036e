"""The simulation of a fleet beside the formulas of queues, and its tables on the page."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import fleet
from fleet_simulation import (
    Autoscaling,
    Fleet,
    Replica,
    Request,
    at_random,
    by_prefix,
    least_loaded,
)
from fleet_steps import Steps, steps_of

COUNT = 12_000


def poisson(rate: float, answer: Callable[[np.random.Generator], float]) -> list[Request]:
    random = np.random.default_rng(1)
    times = np.cumsum(random.exponential(1 / rate, COUNT))
    return [Request(float(at), 0, 0, 0, answer(random)) for at in times]


def run(steps: Steps, requests: list[Request], count: int = 1, **more: object) -> Fleet:
    replicas = [Replica(steps, 4) for _ in range(count)]
    found = Fleet(steps, replicas, at_random, 4, **more)  # type: ignore[arg-type]
    found.run(requests, np.random.default_rng(2))
    return found


def test_one_at_a_time_waits_as_mm1() -> None:
    requests = poisson(0.5, lambda random: random.exponential(1.0))
    run(Steps((0.0, 1.0), 0.0), requests)
    wait = np.mean([each.begun - each.arrival for each in requests])
    assert wait == pytest.approx(0.5 / (1 - 0.5), rel=0.1)  # rho / (mu - lambda)


def test_constant_answers_wait_half_as_long() -> None:
    requests = poisson(0.5, lambda _: 1.0)
    run(Steps((0.0, 1.0), 0.0), requests)
    wait = np.mean([each.begun - each.arrival for each in requests])
    assert wait == pytest.approx(0.5, rel=0.1)


def test_sequences_that_share_a_core_take_as_long_as_processor_sharing_says() -> None:
    requests = poisson(0.5, lambda random: random.exponential(1.0))
    run(Steps(tuple(map(float, range(200))), 0.0), requests)
    stay = np.mean([each.end - each.arrival for each in requests])
    assert stay == pytest.approx(1 / (1 - 0.5), rel=0.1)


def test_a_prompt_alone_takes_its_tokens_and_its_beginning_once() -> None:
    requests = [Request(at, 7, 1000, 100, 10) for at in (0.0, 100.0)]
    run(Steps((0.0, 0.5), 0.01), requests)
    assert [each.first_token - each.arrival for each in requests] == pytest.approx([11.0, 1.0])
    assert requests[0].end - requests[0].first_token == pytest.approx(5.0)


def test_each_request_is_answered_under_every_routing() -> None:
    random = np.random.default_rng(3)
    steps = steps_of([1, 4], [0.01, 0.02], 0.0005)
    hits = {}
    for route in (at_random, least_loaded, by_prefix(4)):
        requests = [
            Request(at / 8, int(prefix), 400, 50, 20)
            for at, prefix in enumerate(random.integers(0, 40, 2000))
        ]
        Fleet(steps, [Replica(steps, 4) for _ in range(10)], route, 4).run(requests, random)
        assert not np.isnan([each.end for each in requests]).any()
        hits[route] = np.mean([each.first_token - each.begun for each in requests])
    fewest, *others = sorted(hits.values())
    assert fewest < 0.6 * others[0]


def test_replicas_come_and_go() -> None:
    rule = Autoscaling(1, 20, 2.0, start_up=5, period=5, patience=30)
    requests = [Request(n / 10, 0, 0, 0, 1) for n in range(1000)]
    requests += [Request(100 + n, 0, 0, 0, 1) for n in range(200)]
    steps = Steps((0.0, 0.5, 1.0), 0.0)
    found = run(steps, requests, autoscaling=rule)
    assert max(size for _, size in found.sizes) > 4
    assert found.sizes[-1][1] == 1
    assert not np.isnan([each.end for each in requests]).any()


def test_the_page_has_what_is_measured() -> None:
    page = fleet.PAGE.read_text("utf-8")
    speed = fleet.read(fleet.STEPS).tokens_per_second
    assert f"measured: {speed:,.0f} tokens/s a core" in page
    assert fleet.with_tables(page, "x").count(fleet.BEGIN) == 1
