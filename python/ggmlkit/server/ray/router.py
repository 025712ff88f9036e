"""Requests that begin alike go to one replica, whose cache has their beginning."""

from __future__ import annotations

import random
from typing import Any, Final

from ray.serve.request_router import RequestRouter

from ggmlkit.server.ray.ring import Ring

BEGINNING: Final = "beginning"  # the keyword of a call that has the text
_OF_GROUP: Final = 4  # replicas of a group near the favoured one whose queues are compared
_OF_ALL: Final = 8  # and of all, where no group has room or nothing favours one


class BeginningRouter(RequestRouter):  # type: ignore[misc]  # Ray is not there when types are checked
    """Asks the replica that a beginning belongs to, then some near it, then some of all."""

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
        named = {each.replica_id.unique_id: each for each in candidate_replicas}
        groups = self._ring.groups(beginning, _OF_GROUP) if beginning else ()
        found = [[named[name] for name in group if name in named] for group in groups]
        found.append(random.sample(candidate_replicas, min(_OF_ALL, len(candidate_replicas))))
        return [group for group in found if group]
