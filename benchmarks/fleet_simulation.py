"""A fleet of replicas, from event to event."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from fleet_steps import Steps

CHUNK = 128  # tokens of a prompt in a step
_SAMPLE = 8  # replicas whose queues a router compares
NEVER = math.inf
Floats = NDArray[np.float64]


@dataclass
class Request:
    """A request.

    Attributes:
        prefix: which of the beginnings it has.
        shared: tokens of that beginning.
        own: tokens of the prompt behind it.
        answer: tokens that are generated.
        first_token: when its first token came; NaN before.
    """

    arrival: float
    prefix: int
    shared: float
    own: float
    answer: float
    begun: float = math.nan
    first_token: float = math.nan
    end: float = math.nan


class Replica:
    """One replica: a prompt at a time, beside the sequences that are decoded."""

    def __init__(self, steps: Steps, cached_prefixes: int, ready_at: float = 0) -> None:
        self._steps, self._most_prefixes = steps, cached_prefixes
        self.now = self.ready_at = ready_at
        self.version = 0
        self.is_leaving = False
        self._cached: OrderedDict[int, None] = OrderedDict()
        self._waiting: deque[Request] = deque()
        self._prompt: Request | None = None
        self._prompt_rest = 0.0
        # A sequence ends when each has got so many tokens since the beginning.
        self._progress = 0.0
        self._decoding: list[tuple[float, int, Request]] = []
        self._numbers = count()

    @property
    def ongoing(self) -> int:
        """Requests that it has."""
        return len(self._waiting) + len(self._decoding) + (self._prompt is not None)

    def _step(self) -> float:
        more = CHUNK * self._steps.prefill if self._prompt is not None else 0.0
        return self._steps.decode[len(self._decoding)] + more

    def next_event(self) -> float:
        """When something ends; NEVER if nothing is to do."""
        found = NEVER
        if self._prompt is not None:
            found = self.now + self._prompt_rest / CHUNK * self._step()
        if self._decoding:
            rest = max(0.0, self._decoding[0][0] - self._progress)
            found = min(found, self.now + rest * self._step())
        return found

    def advance(self, to: float) -> None:
        """Compute until a time at which nothing has ended before."""
        step = self._step()
        if step > 0 and to > self.now:
            done = (to - self.now) / step
            self._progress += done
            if self._prompt is not None:
                self._prompt_rest -= CHUNK * done
        self.now = max(self.now, to)

    def add(self, request: Request) -> None:
        """A request comes, at the time of the last :meth:`advance`."""
        self._waiting.append(request)
        self._begin()

    def finish(self) -> None:
        """What ends at the time of the last :meth:`advance`."""
        if self._prompt is not None and self._prompt_rest <= 1e-6:
            self._first_token(self._prompt)
            self._prompt = None
        while self._decoding and self._decoding[0][0] <= self._progress + 1e-6:
            heapq.heappop(self._decoding)[2].end = self.now
        self._begin()

    def _begin(self) -> None:
        while self._prompt is None and self._waiting and len(self._decoding) < self._steps.parallel:
            request = self._waiting.popleft()
            request.begun = self.now
            rest = request.own + (0 if self._has(request.prefix) else request.shared)
            if rest > 0:
                self._prompt, self._prompt_rest = request, rest
            else:
                self._first_token(request)

    def _first_token(self, request: Request) -> None:
        request.first_token = self.now
        end = self._progress + request.answer
        heapq.heappush(self._decoding, (end, next(self._numbers), request))

    def _has(self, prefix: int) -> bool:
        """Whether a beginning is in the cache, where it is from now on."""
        is_there = prefix in self._cached
        self._cached[prefix] = None
        self._cached.move_to_end(prefix)
        if len(self._cached) > self._most_prefixes:
            self._cached.popitem(last=False)
        return is_there


Route = Callable[[Request, Sequence[Replica], np.random.Generator], Replica]


def at_random(
    request: Request, replicas: Sequence[Replica], random: np.random.Generator
) -> Replica:
    """Any replica."""
    del request
    return replicas[int(random.random() * len(replicas))]


def least_loaded(
    request: Request, replicas: Sequence[Replica], random: np.random.Generator
) -> Replica:
    """Of some replicas, the one with the fewest requests."""
    del request
    if len(replicas) <= _SAMPLE:
        return min(replicas, key=lambda each: each.ongoing)
    places = (random.random(_SAMPLE) * len(replicas)).astype(int).tolist()
    some: list[Replica] = [replicas[place] for place in places]
    return min(some, key=lambda each: each.ongoing)


def by_prefix(most: int) -> Route:
    """The replica that a beginning belongs to, unless it has so many requests; as our router."""

    def route(
        request: Request, replicas: Sequence[Replica], random: np.random.Generator
    ) -> Replica:
        # Beginnings are numbered at random, so the rest of a product stands for the hash.
        favoured = replicas[request.prefix * 2654435761 % 2**32 * len(replicas) >> 32]
        if favoured.ongoing < most:
            return favoured
        return least_loaded(request, replicas, random)

    return route


@dataclass(frozen=True)
class Autoscaling:
    """How the number of replicas follows the requests.

    Attributes:
        fewest: replicas.
        most: replicas.
        target: requests that a replica should have.
        start_up: seconds until a new replica is ready.
        period: seconds between decisions.
        patience: seconds for which fewer must do before one goes.
    """

    fewest: int
    most: int
    target: float
    start_up: float
    period: float = 10.0
    patience: float = 300.0


@dataclass
class Fleet:
    """Replicas, and what happened to their requests.

    Attributes:
        sizes: time and number of replicas, at each change.
    """

    steps: Steps
    replicas: list[Replica]
    route: Route
    cached_prefixes: int
    autoscaling: Autoscaling | None = None
    sizes: list[tuple[float, int]] = field(default_factory=list)

    def run(self, requests: Sequence[Request], random: np.random.Generator) -> None:
        """Answer requests, which are in the order of their arrival."""
        events: list[tuple[float, int, int, Replica]] = []
        numbers, enough_since = count(), 0.0
        decide = 0.0 if self.autoscaling is not None else NEVER
        ready = [each for each in self.replicas if each.ready_at <= 0]

        def plan(replica: Replica) -> None:
            replica.version += 1
            at = replica.next_event()
            if at < NEVER:
                heapq.heappush(events, (at, next(numbers), replica.version, replica))

        def until(end: float) -> None:
            while events and events[0][0] <= end:
                at, _, version, replica = heapq.heappop(events)
                if version == replica.version:
                    replica.advance(at)
                    replica.finish()
                    plan(replica)

        for request in requests:
            while decide <= request.arrival:
                assert self.autoscaling is not None
                until(decide)
                enough_since = self._scale(decide, enough_since)
                ready = [
                    each
                    for each in self.replicas
                    if each.ready_at <= decide and not each.is_leaving
                ]
                decide += self.autoscaling.period
            until(request.arrival)
            replica = self.route(request, ready, random)
            replica.advance(request.arrival)
            replica.add(request)
            plan(replica)
        until(NEVER)

    def _scale(self, now: float, enough_since: float) -> float:
        """Begin or end replicas; since when fewer would do."""
        rule = self.autoscaling
        assert rule is not None
        live = [each for each in self.replicas if not each.is_leaving]
        ongoing = sum(each.ongoing for each in live)
        wanted = min(rule.most, max(rule.fewest, math.ceil(ongoing / rule.target)))
        for _ in range(wanted - len(live)):
            self.replicas.append(Replica(self.steps, self.cached_prefixes, now + rule.start_up))
        if wanted >= len(live):
            enough_since = now
        elif now - enough_since >= rule.patience:
            for each in live[wanted:]:
                each.is_leaving = True
            enough_since = now
        self.sizes.append((now, max(wanted, len(live))))
        return enough_since


def waits(requests: Sequence[Request]) -> Floats:
    """Seconds to the first token of those behind the first fifth, in which the fleet fills."""
    return np.array([each.first_token - each.arrival for each in requests[len(requests) // 5 :]])
