"""The connection of this process to a Ray cluster."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import ray
from ray._private import worker as ray_worker

from ggmlkit.errors import ModelError

_SECONDS: Final = 5.0  # for a machine to accept a connection; Ray itself would try for minutes


@contextmanager
def connected(address: str) -> Iterator[None]:
    """This process is part of a cluster for the block.

    Args:
        address: ``HOST:PORT`` of the cluster; ``auto`` for the one that this machine is part of;
            ``local`` for one of this machine alone, which ends with the block.

    Raises:
        ModelError: there is no such cluster, or it refuses this process.
    """
    if ray.is_initialized():  # the caller's own
        yield
        return
    _check(address)
    before = getattr(ray_worker, "_worker_logs_enabled", True)
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == "local" else None,
        )
    except Exception as error:  # Ray raises all kinds
        if address == "local":
            raise ModelError(f"Ray can't start on this machine: {_reason(error)}") from error
        raise _missing(address, _reason(error)) from error
    # It would say on stdout, among what we print, that a worker died. `log_to_driver` is for more.
    ray_worker._worker_logs_enabled = False
    try:
        yield
    finally:
        ray.shutdown()
        ray_worker._worker_logs_enabled = before


def _check(address: str) -> None:
    """Refuse at once an address where nobody listens."""
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise _missing(address, "an address is HOST:PORT, auto or local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _missing(address, getattr(error, "strerror", None) or str(error)) from None


def _missing(address: str, reason: str) -> ModelError:
    return ModelError(
        f"there is no Ray cluster at {address}: {reason}; start one with 'ray start --head', or "
        "use local"
    )


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
