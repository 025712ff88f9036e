"""The connection of this process to a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from ggmlkit.errors import ModelError


@contextmanager
def connected(address: str) -> Iterator[None]:
    """This process is part of a cluster for the block.

    Args:
        address: ``HOST:PORT`` or ``ray://HOST:PORT`` of the cluster; ``auto`` for the one that this
            machine is part of; ``local`` for one of this machine alone, which ends with the block.

    Raises:
        ModelError: there is no such cluster.
    """
    if ray.is_initialized():  # the caller's own
        yield
        return
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == "local" else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ModelError(
            f"there is no Ray cluster at {address}: {reason}; start one with 'ray start --head', "
            "or use local"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()
