"""The tables of docs/scale-out.md: how many cores so many users need, what routing saves, waits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fleet_simulation import (
    Autoscaling,
    Fleets,
    Floats,
    Requests,
    Route,
    at_random,
    by_prefix,
    least_loaded,
)
from fleet_steps import Steps

GOAL = 2.0  # seconds to the first token, for 95 % of the requests
FLEETS = (1, 10, 100, 1_000, 10_000)
USERS = (100, 1_000, 10_000, 100_000, 1_000_000)
SPEEDS = (100, 300, 1_000)  # tokens/s of a core
ROUTES: dict[str, Route] = {
    "random": at_random,
    "least loaded": least_loaded,
    "by beginning": by_prefix,
}
_PERIOD = 60.0  # seconds between the requests of a user
# Of a run. A fleet that gets 1 / 15 more than it can do misses the goal within them.
_SECONDS = 30.0
_REPLICAS = 300  # that run side by side at least, in as many fleets as that takes
_ROUNDS = 5  # of bisection
_WIDER = 1.08  # replicas, each time that a number of them is not yet next to the least
_OFFERED = (0.9, 1.1, 1.5)  # of what meets the goal
_WAITING = (0.0, 4.0, 16.0, math.inf)  # requests for each replica


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

    def requests(self, arrival: Floats, fleets: int, random: np.random.Generator) -> Requests:
        """Requests of independent users, at times in order."""
        count = len(arrival)
        weights = 1 / np.arange(1, self.prefixes + 1)
        # Numbered at random, for routers that take the number for a hash.
        names = random.permutation(self.prefixes)
        return Requests(
            arrival,
            random.integers(0, fleets, count),
            names[random.choice(self.prefixes, count, p=weights / weights.sum())],
            np.full(count, float(self.shared)),
            1 + random.exponential(self.own, count),
            1 + random.exponential(self.answer, count),
        )


TRAFFIC = Traffic()


def answered(
    steps: Steps, replicas: int, rate: float, route: Route, most_waiting: float = math.inf
) -> Requests:
    """Requests to fleets of a size, at so many a second for each fleet, when they have ended.

    Those of the first fifth, in which the fleets fill, are left out.
    """
    random = np.random.default_rng(7)
    count = max(1, -(-_REPLICAS // replicas))
    arrival = np.sort(random.random(random.poisson(rate * count * _SECONDS)) * _SECONDS)
    requests = TRAFFIC.requests(arrival, count, random)
    fleets = Fleets(steps, replicas, fleets=count, most_waiting=most_waiting)
    fleets.run(requests, route, random)
    return _some(requests, arrival >= _SECONDS / 5)


def _some(requests: Requests, which: np.ndarray) -> Requests:
    """Some of the requests."""
    r = requests
    found = Requests(
        r.arrival[which], r.fleet[which], r.prefix[which],
        r.shared[which], r.own[which], r.answer[which],
    )  # fmt: skip
    found.first_token, found.is_refused = r.first_token[which], r.is_refused[which]
    return found


def p95(requests: Requests) -> float:
    """Seconds to the first token of 95 % of the requests that are answered."""
    waits = requests.first_token - requests.arrival
    return float(np.percentile(waits[~requests.is_refused], 95))


def full_rate(steps: Steps) -> float:
    """Requests a second that fill all steps of a replica, if it has each beginning already."""
    return 1 / (TRAFFIC.own * steps.prefill + TRAFFIC.answer * steps.decode[-1] / steps.parallel)


def best_rate(steps: Steps, replicas: int, route: Route, near: float = 0.0) -> float:
    """The most requests a second for a replica with which the goal is met; 0: with none.

    Args:
        near: a rate that it is near to, if one is known.
    """
    low, high = (0.8 * near, 1.2 * near) if near else (0.0, full_rate(steps))
    rounds = _ROUNDS - 1 if near else _ROUNDS
    for _ in range(rounds):
        middle = (low + high) / 2
        is_met = p95(answered(steps, replicas, middle * replicas, route)) <= GOAL
        low, high = (middle, high) if is_met else (low, middle)
    return low


def tables(steps: Steps) -> str:
    """All tables, in Markdown."""
    rate = best_rate(steps, 100, by_prefix)
    parts = [_routing(steps), _capacity(steps), _bounds(steps, rate), _autoscaling(steps, rate)]
    return "\n".join(parts)


def _routing(steps: Steps) -> str:
    lines = [
        f"Users for each core; measured: {steps.tokens_per_second:,.0f} tokens/s a core, "
        f"{1 / steps.prefill / steps.cores:,.0f} tokens/s of prompts:",
        "",
        "| replicas | " + " | ".join(ROUTES) + " |",
        "| ---: |" + " ---: |" * len(ROUTES),
    ]
    found = dict.fromkeys(ROUTES, 0.0)
    for count in FLEETS:
        for name, route in ROUTES.items():
            near = found[name] if count > 100 else 0.0
            found[name] = best_rate(steps, count, route, near)
        cells = " | ".join(f"{rate * _PERIOD / steps.cores:.0f}" for rate in found.values())
        lines.append(f"| {count:,} | {cells} |")
    return "\n".join([*lines, ""])


def _capacity(steps: Steps) -> str:
    """Cores by users and speed; each number is that of a fleet that was simulated."""
    lines = [
        "Cores for so many users, by the tokens/s that a core decodes in full steps:",
        "",
        "| users | " + " | ".join(f"{speed:,}" for speed in SPEEDS) + " |",
        "| ---: |" + " ---: |" * len(SPEEDS),
    ]
    all_steps = [steps.scaled(speed) for speed in SPEEDS]
    rates = [0.7 * full_rate(each) for each in all_steps]
    for users in USERS:
        cells = []
        for place, each in enumerate(all_steps):
            count = _enough(each, users / _PERIOD, rates[place])
            rates[place] = users / _PERIOD / count if count > 10 else rates[place]
            cells.append(f"{count * each.cores:,}")
        lines.append(f"| {users:,} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _enough(steps: Steps, rate: float, near: float) -> int:
    """The fewest replicas, to 2 %, that meet the goal at so many requests a second.

    Args:
        near: requests a second for a replica, about.
    """

    def is_met(count: int) -> bool:
        return p95(answered(steps, count, rate, by_prefix)) <= GOAL

    few, enough = 0, max(1, round(rate / near))  # few: too few
    while not is_met(enough):
        few, enough = enough, max(enough + 1, math.ceil(enough * _WIDER))
    while few == 0 and enough > 1:
        less = max(1, math.floor(enough / _WIDER))
        few, enough = (few, less) if is_met(less) else (less, enough)
    while enough - few > max(1.0, 0.02 * enough):
        middle = (few + enough) // 2
        few, enough = (few, middle) if is_met(middle) else (middle, enough)
    return enough


def _bounds(steps: Steps, rate: float) -> str:
    """What a bound of the queue does to a fleet that gets too much."""
    names = ["none" if each == math.inf else f"{each:.0f}" for each in _WAITING]
    lines = [
        "100 replicas that get so much of the load which meets the goal, by the requests that may "
        "wait for a replica: refused, and the first token of the others (95th percentile):",
        "",
        "| load | " + " | ".join(names) + " |",
        "| ---: |" + " ---: |" * len(names),
    ]
    for offered in _OFFERED:
        cells = []
        for waiting in _WAITING:
            found = answered(steps, 100, offered * rate * 100, by_prefix, waiting)
            cells.append(f"{100 * found.is_refused.mean():.0f} %, {p95(found):.1f} s")
        lines.append(f"| {offered:.1f} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _autoscaling(steps: Steps, rate: float) -> str:
    """A load that grows to four times within a minute, by start-up time."""
    lines = [
        "A load that grows fourfold within a minute, on 10 to 100 replicas that begin by demand:",
        "",
        "| start-up | first token, 95th percentile in the worst minute | over the goal | most |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for start_up in (5.0, 30.0, 120.0):
        random = np.random.default_rng(7)
        arrival = _growing(5 * rate, 60.0, 480.0, random)
        requests = TRAFFIC.requests(arrival, 1, random)
        rule = Autoscaling(10, 0.75 * steps.parallel, start_up)
        fleet = Fleets(steps, 100, autoscaling=rule)
        fleet.run(requests, by_prefix, random)
        waits = requests.first_token - requests.arrival
        minutes = arrival // 60
        each = [float(np.percentile(waits[minutes == n], 95)) for n in np.unique(minutes)]
        over = sum(found > GOAL for found in each)
        most = max(size for _, size in fleet.sizes)
        lines.append(f"| {start_up:.0f} s | {max(each):.1f} s | {over} min | {most} |")
    return "\n".join([*lines, ""])


def _growing(rate: float, begin: float, end: float, random: np.random.Generator) -> Floats:
    """Times at a rate that grows to four times in the minute behind ``begin``."""
    times = np.sort(random.random(random.poisson(4 * rate * end)) * end)
    share = (1 + 3 * np.clip((times - begin) / 60, 0, 1)) / 4
    found: Floats = times[random.random(len(times)) < share]
    return found
