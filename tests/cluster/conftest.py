"""A cluster of several processes on this machine, for the tests that `make ray` runs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_raylet_start_wait_time_s"] = "120"  # noqa: SIM112  # Ray's own name
os.environ["RAY_agent_register_timeout_ms"] = "120000"  # noqa: SIM112
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import ray


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Eight slots, however many cores there are: the models are tiny."""
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield
    ray.shutdown()
