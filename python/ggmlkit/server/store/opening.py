"""Opens the store that a server's settings name."""

from __future__ import annotations

from pathlib import Path

from ggmlkit.server.settings import StoreSettings
from ggmlkit.server.store.in_file import FileStore
from ggmlkit.server.store.in_memory import MemoryStore
from ggmlkit.server.store.records import Room, Store


def opened(settings: StoreSettings) -> Store:
    """The store; it is to be closed.

    Raises:
        FormatError: the file is something else, is damaged, or another server uses it.
        OSError: it can't be made.
    """
    room = Room(settings.count, settings.size)
    return MemoryStore(room) if settings.path is None else FileStore(Path(settings.path), room)
