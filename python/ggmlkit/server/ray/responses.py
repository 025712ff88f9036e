"""Responses that are kept for later requests, whichever replica gets those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ggmlkit.server.store.opening import opened

if TYPE_CHECKING:
    from ggmlkit.server.settings import StoreSettings
    from ggmlkit.server.store.records import Record


class Responses:
    """The one place that keeps them; replicas call it by a :class:`SharedStore`.

    Args:
        settings: where it keeps them.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._store = opened(settings)

    async def call(self, method: str, *args: Any) -> Any:
        """What a method of the store returns."""
        return await getattr(self._store, method)(*args)

    async def __del__(self) -> None:
        """Called by Ray at the end."""
        await self._store.close()


class SharedStore:
    """The store of all replicas; see :class:`ggmlkit.server.store.records.Store`.

    Args:
        responses: handle of the deployment of :class:`Responses`.
    """

    def __init__(self, responses: Any) -> None:
        self._call = responses.call

    async def put(self, record: Record) -> bool:
        """Keep a record; False if it alone is larger than there is room for."""
        found: bool = await self._call.remote("put", record)
        return found

    async def get(self, id: str, owner: str) -> Record | None:
        """The owner's record with an id."""
        found: Record | None = await self._call.remote("get", id, owner)
        return found

    async def chain(self, id: str, owner: str, most_bytes: int) -> list[Record]:
        """See :class:`ggmlkit.server.store.records.Store`."""
        found: list[Record] = await self._call.remote("chain", id, owner, most_bytes)
        return found

    async def delete(self, id: str, owner: str) -> bool:
        """Forget the owner's record with an id; False if there is none."""
        found: bool = await self._call.remote("delete", id, owner)
        return found

    async def close(self) -> None:
        """Nothing: other replicas use it."""
