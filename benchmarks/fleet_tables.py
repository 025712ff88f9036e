"""The tables of docs/scale-out.md: how many cores so many users need, and what routing saves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fleet_simulation import (
    Autoscaling,
    Fleet,
    Replica,
    Request,
    Route,
    at_random,
    by_prefix,
    least_loaded,
    waits,
)
from fleet_steps import Steps

GOAL = 2.0  # seconds to the first token, for 95 % of the requests
FLEETS = (1, 10, 100)
USERS = (100, 1_000, 10_000, 100_000, 1_000_000)
_PERIOD = 60.0  # seconds between the requests of a user
_CACHED = 8  # beginnings that a replica keeps
# Requests that are simulated: so many, and for each replica. With fewer than several times what it
# decodes at once, a replica never fills, and any load seems to do.
_FEWEST, _EACH = 2000, 100
_ROUNDS = 6  # of bisection, to 2 % of the load at which all steps are full


@dataclass(frozen=True)
class Traffic:
    """What users ask.

    Attributes:
        prefixes: beginnings there are, such as system prompts; the n-th is used as 1 / n.
        shared: tokens of a beginning.
        own: tokens of a prompt behind it, on average (exponential).
        answer: tokens of an answer, on average (exponential).
    """

    prefixes: int = 1000
    shared: int = 600
    own: int = 60
    answer: int = 100

    def requests(
        self, rate: Callable[[float], float], most: int, random: np.random.Generator
    ) -> list[Request]:
        """Requests of many independent users, by requests a second at a time."""
        weights = 1 / np.arange(1, self.prefixes + 1)
        # Numbered at random, for routers that take the number for a hash.
        names = random.permutation(self.prefixes)
        prefixes = names[random.choice(self.prefixes, most, p=weights / weights.sum())]
        own, answer = random.exponential(self.own, most), random.exponential(self.answer, most)
        gaps = random.exponential(1.0, most)
        now, found = 0.0, []
        for place in range(most):
            now += gaps[place] / rate(now)
            found.append(
                Request(
                    now,
                    int(prefixes[place]),
                    self.shared,
                    1 + float(own[place]),
                    1 + float(answer[place]),
                )
            )
        return found


TRAFFIC = Traffic()


def p95(steps: Steps, replicas: int, rate: float, route: Route) -> float:
    """Seconds to the first token of 95 % of the requests, at so many requests a second."""
    random = np.random.default_rng(7)
    most = max(_FEWEST, _EACH * replicas)
    requests = TRAFFIC.requests(lambda _: rate, most, random)
    fleet = Fleet(steps, [Replica(steps, _CACHED) for _ in range(replicas)], route, _CACHED)
    fleet.run(requests, random)
    return float(np.percentile(waits(requests), 95))


def full_rate(steps: Steps) -> float:
    """Requests a second that fill all steps of a replica, if it has each beginning already."""
    return 1 / (TRAFFIC.own * steps.prefill + TRAFFIC.answer * steps.decode[-1] / steps.parallel)


def best_rate(steps: Steps, replicas: int, route: Route) -> float:
    """The most requests a second for a replica with which the goal is met; 0: with none."""
    low, high = 0.0, full_rate(steps)
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        is_met = p95(steps, replicas, middle * replicas, route) <= GOAL
        low, high = (middle, high) if is_met else (low, middle)
    return low


def tables(steps: Steps) -> str:
    """All tables, in Markdown."""
    routes: dict[str, Route] = {
        "random": at_random,
        "least loaded": least_loaded,
        "by beginning": by_prefix(steps.parallel),
    }
    rates = {
        name: [best_rate(steps, count, route) for count in FLEETS] for name, route in routes.items()
    }
    parts = [
        _routing(rates, steps),
        _capacity(steps),
        _autoscaling(steps),
    ]
    return "\n".join(parts)


def _routing(rates: dict[str, list[float]], steps: Steps) -> str:
    lines = [
        f"Users for each core; measured: {steps.tokens_per_second:,.0f} tokens/s a core, "
        f"{1 / steps.prefill / steps.cores:,.0f} tokens/s of prompts:",
        "",
        "| routing | " + " | ".join(_replicas(each) for each in FLEETS) + " |",
        "| --- |" + " ---: |" * len(FLEETS),
    ]
    for name, found in rates.items():
        cells = " | ".join(f"{rate * _PERIOD / steps.cores:.0f}" for rate in found)
        lines.append(f"| {name} | {cells} |")
    return "\n".join([*lines, ""])


def _capacity(steps: Steps) -> str:
    """Cores by users and speed."""
    speeds = [30, 100, 300, 1000]
    lines = [
        "Cores for so many users, by the tokens/s that a core decodes in full steps:",
        "",
        "| users | " + " | ".join(f"{speed:,}" for speed in speeds) + " |",
        "| ---: |" + " ---: |" * len(speeds),
    ]
    found = {}
    for speed in speeds:
        scaled = steps.scaled(speed)
        route = by_prefix(scaled.parallel)
        found[speed] = {count: best_rate(scaled, count, route) for count in FLEETS[1:]}
    for users in USERS:
        cells = [_cores(users, found[speed], steps.cores) for speed in speeds]
        lines.append(f"| {users:,} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _cores(users: int, rates: dict[int, float], cores: int) -> str:
    """Cores for users, by the requests a second that a replica of a fleet stands."""
    for count, rate in rates.items():
        if rate == 0:
            continue
        replicas = math.ceil(users / _PERIOD / rate)
        if replicas <= 3 * count or count == FLEETS[-1]:
            return f"{replicas * cores:,}"
    return "–"


def _autoscaling(steps: Steps) -> str:
    """A load that grows to four times within a minute, by start-up time."""
    rate = 2 * full_rate(steps)
    lines = [
        "A load that grows fourfold within a minute, on 10 to 100 replicas that begin by demand:",
        "",
        "| start-up | first token, 95th percentile in the worst minute | over the goal | most |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for start_up in (5.0, 30.0, 120.0):
        random = np.random.default_rng(7)

        def now_rate(now: float) -> float:
            return rate * (1 + 3 * min(1.0, max(0.0, (now - 300) / 60)))

        most = int(rate * (300 + 60 * 2.5 + 540 * 4))
        requests = TRAFFIC.requests(now_rate, most, random)
        rule = Autoscaling(10, 100, 0.75 * steps.parallel, start_up)
        fleet = Fleet(
            steps,
            [Replica(steps, _CACHED) for _ in range(10)],
            by_prefix(steps.parallel),
            _CACHED,
            rule,
        )
        fleet.run(requests, random)
        minutes: dict[int, list[float]] = {}
        for each in requests:
            minutes.setdefault(int(each.arrival // 60), []).append(each.first_token - each.arrival)
        each_minute = [float(np.percentile(found, 95)) for _, found in sorted(minutes.items())]
        over = sum(found > GOAL for found in each_minute)
        size = max(size for _, size in fleet.sizes)
        lines.append(f"| {start_up:.0f} s | {max(each_minute):.1f} s | {over} min | {size} |")
    return "\n".join([*lines, ""])


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count:,} replicas"
