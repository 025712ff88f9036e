"""Numbers about the server for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ggmlkit.engine.result import Usage
from ggmlkit.engine.stats import Stats

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_GAPS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Now(Collector):
    """Gauges, read when they are asked for.

    Args:
        read: gives each gauge's name, meaning, and values by model.
    """

    def __init__(self, read: Callable[[], Iterable[tuple[str, str, dict[str, float]]]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        for name, meaning, values in self._read():
            gauge = GaugeMetricFamily(f"ggmlkit_{name}", meaning, labels=["model"])
            for model, value in values.items():
                gauge.add_metric([model], value)
            yield gauge

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are not known before."""
        return []


class Metrics:
    """What is counted. Each server has its own.

    Attributes:
        work: of all answers that ended.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.work = Stats()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"ggmlkit_{name}", meaning, labels, registry=self.registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"ggmlkit_{name}", meaning, buckets=buckets, registry=self.registry)

        self._requests = counter("requests", "Requests by endpoint and status.", "path", "status")
        self._prompt = counter("prompt_tokens", "Tokens of prompts, cached ones too.")
        self._cached = counter("cached_tokens", "Tokens of prompts that the cache held already.")
        self._generated = counter("generated_tokens", "Tokens that were generated.")
        self._duration = histogram("request_seconds", "Duration of requests.", _SECONDS)
        self._first = histogram(
            "first_token_seconds", "Time from a prompt's arrival to its first token.", _SECONDS
        )
        self._gap = histogram("token_gap_seconds", "Time between tokens of an answer.", _GAPS)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request ended."""
        self._requests.labels(path, str(status)).inc()
        self._duration.observe(seconds)

    def token(self, seconds: float, *, is_first: bool) -> None:
        """A token was drawn so long after the one before it, or after its prompt came."""
        (self._first if is_first else self._gap).observe(seconds)

    def used(self, usage: Usage) -> None:
        """An answer ended."""
        self._prompt.inc(usage.prompt_tokens)
        self._cached.inc(usage.cached_tokens)
        self._generated.inc(usage.completion_tokens)

    def worked(self, stats: Stats) -> None:
        """An answer ended that took so much work."""
        self.work.prompt_tokens += stats.prompt_tokens
        self.work.cached_tokens += stats.cached_tokens
        self.work.prompt_seconds += stats.prompt_seconds
        self.work.decode_tokens += stats.decode_tokens
        self.work.decode_seconds += stats.decode_seconds

    def text(self) -> bytes:
        """All, as Prometheus reads it."""
        return generate_latest(self.registry)
