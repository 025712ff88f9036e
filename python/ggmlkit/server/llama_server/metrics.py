"""What the server counts, under llama-server's names, for dashboards that know these."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from ggmlkit.server.serving import Serving


class LlamaMetrics(Collector):
    """Numbers of all models together, read when they are asked for."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def collect(self) -> Iterable[Metric]:
        """The numbers."""
        work = self._serving.metrics.work
        counters = {
            "prompt_tokens": ("Tokens of prompts that were computed.", work.prompt_tokens),
            "prompt_tokens_cached": ("Tokens of prompts from the cache.", work.cached_tokens),
            "prompt_seconds": ("Time of prompts, with their wait.", work.prompt_seconds),
            "tokens_predicted": ("Tokens that were generated.", work.decode_tokens),
            "tokens_predicted_seconds": ("Time of generation.", work.decode_seconds),
        }
        for name, (meaning, value) in counters.items():
            yield CounterMetricFamily(f"llamacpp:{name}", meaning, value)
        served = self._serving.models.served
        running = sum(each.running for each in served)
        waiting = sum(self._serving.admission.waiting(each.name) for each in served)
        gauges = {
            "prompt_tokens_seconds": ("Tokens of prompts a second.", work.prompt_tps),
            "predicted_tokens_seconds": ("Tokens generated a second.", work.decode_tps),
            "requests_processing": ("Answers that are generated now.", running),
            "requests_deferred": ("Answers that wait for their turn.", waiting),
        }
        for name, (meaning, value) in gauges.items():
            yield GaugeMetricFamily(f"llamacpp:{name}", meaning, value)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are not checked before."""
        return []
