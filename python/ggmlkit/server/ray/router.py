"""Requests that begin alike go to one replica, whose cache has their beginning."""

from __future__ import annotations

import random
from typing import Any, Final

from ray.serve.request_router import RequestRouter

from ggmlkit.server.ray.ring import Ring

BEGINNING: Final = "beginning"  # the keyword of a call that has the text
_OTHERS: Final = 8  # replicas whose queues are compared if the favoured one's is full


class BeginningRouter(RequestRouter):  # type: ignore[misc]  # Ray is not there when types are checked
    """Asks the replica that a beginning belongs to, then the least loaded of some others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ring = Ring(())
        self._by_name: dict[str, Any] = {}

    def update_replicas(self, replicas: list[Any]) -> None:
        """The replicas that there are now."""
        super().update_replicas(replicas)
        named = {each.replica_id.unique_id: each for each in replicas}
        if named.keys() != self._by_name.keys():
            self._ring = Ring(named)
        self._by_name = named

    async def choose_replicas(
        self, candidate_replicas: list[Any], pending_request: Any = None
    ) -> list[list[Any]]:
        """Groups of replicas; of the first group with room, Ray takes the least loaded."""
        beginning = "" if pending_request is None else pending_request.kwargs.get(BEGINNING, "")
        favoured = self._ring.member(beginning) if beginning else None
        names = {each.replica_id.unique_id for each in candidate_replicas}
        others = [each for each in candidate_replicas if each.replica_id.unique_id != favoured]
        sample = random.sample(others, min(_OTHERS, len(others)))
        first = [self._by_name[favoured]] if favoured is not None and favoured in names else []
        return [group for group in (first, sample) if group]
