"""Fleets of replicas, a little time at a time, all replicas at once.

Everything is an array: a number for each replica, or for each request. In each time step all
replicas compute, then the requests of that time are routed by the queues as they were before it,
as a router knows them, and waiting prompts begin. Several fleets of the same size run side by
side, so that small ones get many requests too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fleet_steps import Steps

CHUNK = 128  # tokens of a prompt in a step
HASH = 2654435761  # whose products have random highest bits
_SAMPLE = 4  # replicas of a group whose queues the router compares
_OF_ALL = 8  # where it compares some of all
_NONE = -1
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass
class Requests:
    """Requests in the order of their arrival; all arrays are (n,).

    Attributes:
        arrival: seconds.
        fleet: that it goes to.
        prefix: which of the beginnings it has.
        shared: tokens of that beginning.
        own: tokens of the prompt behind it.
        answer: tokens that are generated.
        begun: when its prompt began, seconds; NaN before.
        first_token: likewise.
        end: likewise.
        is_refused: the queue was full.
    """

    arrival: Floats
    fleet: Ints
    prefix: Ints
    shared: Floats
    own: Floats
    answer: Floats
    begun: Floats = field(init=False)
    first_token: Floats = field(init=False)
    end: Floats = field(init=False)
    is_refused: Bools = field(init=False)

    def __post_init__(self) -> None:
        for name in ("begun", "first_token", "end"):
            setattr(self, name, np.full(len(self.arrival), np.nan))
        self.is_refused = np.zeros(len(self.arrival), bool)

    def __len__(self) -> int:
        return len(self.arrival)


@dataclass(frozen=True)
class Autoscaling:
    """How the number of replicas follows the requests.

    Attributes:
        fewest: replicas.
        target: requests that a replica should have.
        start_up: seconds until a new replica is ready.
        period: seconds between decisions.
        patience: seconds for which fewer must do before one goes.
    """

    fewest: int
    target: float
    start_up: float
    period: float = 10.0
    patience: float = 300.0


class Fleets:
    """Fleets of the same size.

    Args:
        steps: of a replica.
        replicas: of a fleet; with autoscaling the most.
        fleets: how many; one with autoscaling.
        cached_prefixes: beginnings that a replica keeps, those used last.
        seconds: of a time step; some part of a step of the engine.
        most_waiting: requests that may wait for a replica; more are refused.
        autoscaling: None for always all replicas.

    Attributes:
        sizes: time and number of replicas, at each decision.
    """

    def __init__(
        self,
        steps: Steps,
        replicas: int,
        *,
        fleets: int = 1,
        cached_prefixes: int = 8,
        seconds: float | None = None,
        most_waiting: float = math.inf,
        autoscaling: Autoscaling | None = None,
    ) -> None:
        self.steps, self.replicas = steps, replicas
        self.seconds = steps.decode[-1] / 2 if seconds is None else seconds
        self.most_ongoing = steps.parallel + most_waiting
        self.sizes: list[tuple[float, int]] = []
        self._decode = np.array(steps.decode)
        count = replicas * fleets
        self.ongoing = np.zeros(count, np.int64)
        self._cached = np.full((count, cached_prefixes), _NONE)
        self._used = np.zeros((count, cached_prefixes))
        self._head, self._tail = np.full(count, _NONE), np.full(count, _NONE)
        self._prompt = np.full(count, _NONE)
        self._rest = np.zeros(count)  # tokens of the prompt that are left
        self._ahead = np.zeros(count)  # tokens that were computed beyond the end of the last one
        # A sequence ends when each has got so many tokens since the beginning.
        self._progress = np.zeros(count)
        self._ends = np.full((count, steps.parallel), np.inf)
        self._who = np.full((count, steps.parallel), _NONE)
        self._decoding = np.zeros(count, np.int64)
        self._rule = autoscaling
        fewest = replicas if autoscaling is None else autoscaling.fewest
        self._ready_at = np.where(np.arange(replicas) < fewest, 0.0, np.inf)
        if autoscaling is not None:  # so that those that come stand between those that are there
            self._ready_at = np.random.default_rng(1).permutation(self._ready_at)
        self.ready = np.flatnonzero(self._ready_at <= 0)
        self._enough_since = 0.0

    def run(self, requests: Requests, route: Route, random: np.random.Generator) -> None:
        """Answer requests until the last one has ended."""
        self._requests = requests
        self._next = np.full(len(requests), _NONE)
        now, first, decide = 0.0, 0, 0.0
        while first < len(requests) or self.ongoing.any():
            if self._rule is not None and now >= decide:
                self._scale(self._rule, now)
                decide += self._rule.period
            self._compute(now)
            now += self.seconds
            last = first + int(np.searchsorted(requests.arrival[first:], now))
            if last > first:
                self._arrive(np.arange(first, last), route, random)
                first = last
            self._begin(now)

    def _compute(self, now: float) -> None:
        """What all replicas do in a time step."""
        has_prompt = self._prompt >= 0
        step = self._decode[self._decoding] + CHUNK * self.steps.prefill * has_prompt
        done = np.divide(self.seconds, step, out=np.zeros_like(step), where=step > 0)
        self._progress += done
        self._ahead[:] = 0
        self._end_sequences(now)
        if not self.steps.prefill:  # prompts take no time
            self._rest[:] = 0
        self._rest -= CHUNK * done * has_prompt
        ended = np.flatnonzero(has_prompt & (self._rest <= 0))
        if len(ended):
            late = -self._rest[ended] * step[ended] / CHUNK
            self._first_tokens(ended, now + self.seconds - np.minimum(late, self.seconds))

    def _end_sequences(self, now: float) -> None:
        replica, slot = np.nonzero(self._ends <= self._progress[:, None])
        if len(replica):
            self._requests.end[self._who[replica, slot]] = now + self.seconds
            self._ends[replica, slot] = np.inf
            ended = np.bincount(replica, minlength=len(self.ongoing))
            self._decoding -= ended
            self.ongoing -= ended

    def _first_tokens(self, replica: Ints, at: Floats) -> None:
        request = self._prompt[replica]
        self._requests.first_token[request] = at
        slot = np.argmax(self._ends[replica], axis=1)  # infinite: free
        self._ends[replica, slot] = self._progress[replica] + self._requests.answer[request]
        self._who[replica, slot] = request
        self._decoding[replica] += 1
        self._prompt[replica] = _NONE
        self._ahead[replica] = -self._rest[replica]

    def _arrive(self, request: Ints, route: Route, random: np.random.Generator) -> None:
        replica = route(self, self._requests, request, random)
        is_refused = self.ongoing[replica] >= self.most_ongoing
        if is_refused.any():
            self._requests.is_refused[request[is_refused]] = True
            request, replica = request[~is_refused], replica[~is_refused]
        if not len(request):
            return
        order = np.argsort(replica, kind="stable")
        replica, request = replica[order], request[order]
        is_first = np.append(True, replica[1:] != replica[:-1])
        follows = ~is_first[1:]
        self._next[request[:-1][follows]] = request[1:][follows]
        places = np.flatnonzero(is_first)
        to, begins = replica[places], request[places]
        tails = self._tail[to]
        self._head[to[tails < 0]] = begins[tails < 0]
        self._next[tails[tails >= 0]] = begins[tails >= 0]
        self._tail[to] = request[np.append(places[1:], len(request)) - 1]
        self.ongoing += np.bincount(replica, minlength=len(self.ongoing))

    def _begin(self, now: float) -> None:
        """Begin a prompt where none is computed, one waits, and its answer has room."""
        has_room = self._decoding < self.steps.parallel
        replica = np.flatnonzero((self._prompt < 0) & (self._head >= 0) & has_room)
        if not len(replica):
            return
        request = self._head[replica]
        self._head[replica] = self._next[request]
        self._tail[replica[self._next[request] < 0]] = _NONE
        self._prompt[replica] = request
        self._requests.begun[request] = now
        shared = np.where(self._has(replica, request, now), 0, self._requests.shared[request])
        self._rest[replica] = self._requests.own[request] + shared - self._ahead[replica]

    def _has(self, replica: Ints, request: Ints, now: float) -> Bools:
        """Whether beginnings are in the caches, where they are from now on."""
        prefix = self._requests.prefix[request]
        is_it = self._cached[replica] == prefix[:, None]
        found: Bools = is_it.any(axis=1)
        slot = np.where(found, is_it.argmax(axis=1), self._used[replica].argmin(axis=1))
        self._cached[replica, slot] = prefix
        self._used[replica, slot] = now
        return found

    def _scale(self, rule: Autoscaling, now: float) -> None:
        """Begin or end replicas."""
        live = np.flatnonzero(self._ready_at < np.inf)
        wanted = math.ceil(self.ongoing.sum() / rule.target)
        wanted = min(self.replicas, max(rule.fewest, wanted))
        more = np.flatnonzero(self._ready_at == np.inf)[: max(0, wanted - len(live))]
        self._ready_at[more] = now + rule.start_up
        self._cached[more] = _NONE
        if wanted >= len(live):
            self._enough_since = now
        elif now - self._enough_since >= rule.patience:
            self._ready_at[live[wanted:]] = np.inf  # what they have ends there
            self._enough_since = now
        self.ready = np.flatnonzero(self._ready_at <= now)
        self.sizes.append((now, max(wanted, len(live))))


# Chooses replicas: by fleets, requests, numbers of those that arrive. Numbers count all fleets'.
Route = Callable[[Fleets, Requests, Ints, np.random.Generator], Ints]


def at_random(fleets: Fleets, requests: Requests, which: Ints, random: np.random.Generator) -> Ints:
    """Any replica."""
    ranks = random.integers(0, len(fleets.ready), len(which))
    found: Ints = requests.fleet[which] * fleets.replicas + fleets.ready[ranks]
    return found


def least_loaded(
    fleets: Fleets, requests: Requests, which: Ints, random: np.random.Generator
) -> Ints:
    """Of some replicas, the one with the fewest requests."""
    ranks = random.integers(0, len(fleets.ready), (len(which), _OF_ALL))
    first = requests.fleet[which, None] * fleets.replicas
    return _with_fewest(fleets, first + fleets.ready[ranks])


def by_prefix(fleets: Fleets, requests: Requests, which: Ints, random: np.random.Generator) -> Ints:
    """The replica that a beginning belongs to; if it is busy, one behind it, as near as can be.

    The server's router does the same: see `ggmlkit.server.ray.ring`.
    """
    count, most = len(fleets.ready), fleets.steps.parallel
    first = requests.fleet[which] * fleets.replicas
    # Beginnings are numbered at random, so the rest of a product stands for the hash.
    slots = (requests.prefix[which] * HASH % 2**32 * fleets.replicas) >> 32
    home = np.searchsorted(fleets.ready, slots) % count
    found: Ints = first + fleets.ready[home]
    for near, far in ranges(count):
        busy = np.flatnonzero(fleets.ongoing[found] >= most)
        if not len(busy):
            return found
        offsets = random.integers(near, far, (len(busy), min(_SAMPLE, far - near)))
        ranks = (home[busy, None] + offsets) % count
        found[busy] = _with_fewest(fleets, first[busy, None] + fleets.ready[ranks])
    busy = np.flatnonzero(fleets.ongoing[found] >= most)
    found[busy] = least_loaded(fleets, requests, which[busy], random)
    return found


def ranges(count: int) -> Iterator[tuple[int, int]]:
    """Groups of replicas behind one, each three times as large as all before: 1-3, 4-15, 16-63."""
    near = 1
    while near < count:
        yield near, min(4 * near, count)
        near *= 4


def _with_fewest(fleets: Fleets, replicas: Ints) -> Ints:
    """Of each row of replicas, the one with the fewest requests."""
    best = fleets.ongoing[replicas].argmin(axis=1)
    found: Ints = replicas[np.arange(len(replicas)), best]
    return found
