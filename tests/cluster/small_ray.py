"""A Ray cluster of this machine without the parts that tests don't need, also while it is busy.

Ray's raylet waits 15 seconds for its agents to tell their ports, and ends if they don't. On a busy
machine they need longer, most of it for imports. So what they would tell is written before them:
that the dashboard and the metrics have no ports, which is so where their libraries are missing, and
a port of ours for the agent of environments, whose answer the raylet then awaits for longer.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

# Before Ray is imported, also by the processes that it starts.
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",  # a token of this cluster alone; otherwise Ray writes one to HOME
    "RAY_AUTH_TOKEN": secrets.token_hex(16),
}

import ray
from ray import _raylet
from ray._private.node import Node

CORES = 8  # slots, however many cores there are: the models are tiny
_OBJECTS = 100 << 20  # bytes
_NO_PORT = (
    _raylet.METRICS_AGENT_PORT_NAME,
    _raylet.METRICS_EXPORT_PORT_NAME,
    _raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME,
)
_NOT_NEEDED = ("start_api_server", "start_monitor", "start_log_monitor")


@contextmanager
def small_cluster() -> Iterator[str]:
    """A cluster that this process is part of; its address."""
    missing = mock.Mock(return_value=ImportError("not needed"))
    with ExitStack() as patches:
        patched = patches.enter_context
        patched(mock.patch("ray._private.utils.get_dashboard_dependency_error", missing))
        patched(mock.patch.object(Node, "start_raylet", _with_ports(Node.start_raylet)))
        for name in _NOT_NEEDED:
            patched(mock.patch.object(Node, name))
        ray.init(
            num_cpus=CORES,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=_OBJECTS,
            _node_ip_address="127.0.0.1",
        )
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _with_ports(start: Callable[..., None]) -> Callable[..., None]:
    def start_raylet(node: Any, *args: Any, **settings: Any) -> None:
        port = node._ray_params.runtime_env_agent_port = free_port()
        ports = dict.fromkeys(_NO_PORT, -1) | {_raylet.RUNTIME_ENV_AGENT_PORT_NAME: port}
        for name, number in ports.items():
            _raylet.persist_port(node._session_dir, node._node_id, name, number)
        start(node, *args, **settings)

    return start_raylet
