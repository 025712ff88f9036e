"""Deploys a plan, and holds it until a signal ends it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ray import serve as ray_serve
from ray.serve.context import _get_global_client

from ggmlkit.distributed.connection import connected
from ggmlkit.errors import ModelError
from ggmlkit.server.ray.builder import application
from ggmlkit.server.ray.plan import Plan

_NAME = "ggmlkit"


def serve(plan: Plan, address: str, say: Callable[[str], None] = print) -> int:
    """Serve on a cluster until a signal ends it; returns the exit code.

    Args:
        address: of the cluster, as for :func:`connected`.
        say: is told, in lines, where requests go.

    Raises:
        ModelError: there is no such cluster, or the replicas can't begin.
    """
    settings = plan.settings
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with connected(address), _started(settings.host, settings.port), _ending() as is_ended:
        try:
            ray_serve.run(application(plan), name=_NAME)
            say(f"serving on http://{settings.host}:{settings.port}, on each node with a replica")
            is_ended.wait()
        except RuntimeError as error:
            raise ModelError(f"the replicas can't begin: {error}") from None
        finally:
            ray_serve.delete(_NAME)  # answers that run have their time to end
    return 0


@contextmanager
def _started(host: str, port: int) -> Iterator[None]:
    """Ray Serve listens on an address for the block, or longer if it did before.

    Raises:
        ModelError: it listens on another one.
    """
    running = _get_global_client(raise_if_no_controller_running=False)
    if running is None:
        ray_serve.start(http_options={"host": host, "port": port, "location": "EveryNode"})
    elif (running.http_config.host, running.http_config.port) != (host, port):
        raise ModelError(
            "Ray Serve is there already, and listens on "
            f"{running.http_config.host}:{running.http_config.port}: give that as --host and "
            "--port, or end it with 'serve shutdown'"
        )
    try:
        yield
    finally:
        if running is None:
            ray_serve.shutdown()


@contextmanager
def _ending() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set."""
    is_ended = threading.Event()

    def end(sig: int, frame: FrameType | None) -> None:
        del sig, frame
        is_ended.set()

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield is_ended
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
