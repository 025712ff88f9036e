"""The models of a server by name: loaded when asked for, unloaded when memory is wanted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter, to_thread

from ggmlkit.chat.errors import RequestError
from ggmlkit.errors import GgmlkitError
from ggmlkit.server.loading import ServedModel, loaded
from ggmlkit.server.memory import available_bytes
from ggmlkit.server.settings import ModelSource, ServerSettings

LOG = logging.getLogger("ggmlkit.server")
_SHARE_OF_FILE: Final = 1.2  # memory that a model takes, beside its file's size
_QUIET_SECONDS: Final = 1.0  # after a request, before a model is prepared for others
_IDLE_STEPS: Final = 4  # how often an idle model's time is looked at within it


@dataclass
class _Entry:
    """A model that may be loaded.

    Attributes:
        was_loaded: at least once.
        users: requests that use it now.
        used_at: when the last of them ended, by ``time.monotonic``.
    """

    source: ModelSource
    is_first: bool
    served: ServedModel | None = None
    was_loaded: bool = False
    users: int = 0
    used_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_idle(self) -> bool:
        return self.served is not None and not self.users


class Models:
    """The models of a server. The event loop's thread alone uses it.

    Args:
        say: is told, in a line, what was loaded and unloaded.
        load: reads a model from its file.
    """

    def __init__(
        self,
        settings: ServerSettings,
        say: Callable[[str], None] = LOG.info,
        load: Callable[..., ServedModel] = loaded,
    ) -> None:
        self._settings, self._say, self._load = settings, say, load
        self._entries = [
            _Entry(source, is_first=not place) for place, source in enumerate(settings.models)
        ]
        self._by_name = {
            name: entry
            for entry in reversed(self._entries)
            for name in (*entry.source.aliases, entry.source.name)
        }
        self._loaders = CapacityLimiter(1)
        self._warming: set[asyncio.Task[None]] = set()

    @property
    def sources(self) -> Sequence[ModelSource]:
        """What can be asked for."""
        return [entry.source for entry in self._entries]

    @property
    def served(self) -> list[ServedModel]:
        """What is loaded now."""
        return [entry.served for entry in self._entries if entry.served is not None]

    @property
    def is_ready(self) -> bool:
        """Whether the first model is loaded, or was."""
        return self._entries[0].was_loaded

    def source(self, name: str | None) -> ModelSource:
        """The model with a name; of requests without one, the first.

        Raises:
            RequestError: there is none (404).
        """
        return self._entry(name).source

    def loaded(self, name: str | None) -> ServedModel | None:
        """The model with a name, if it is loaded now; raises as :meth:`source` does."""
        return self._entry(name).served

    @asynccontextmanager
    async def using(self, name: str | None) -> AsyncIterator[ServedModel]:
        """A model that stays loaded for the block; it is loaded if need be.

        Raises:
            RequestError: there is no such model, or it can't be loaded.
        """
        entry = self._entry(name)
        entry.users += 1
        try:
            yield entry.served or await self._loaded(entry)
        finally:
            entry.users -= 1
            entry.used_at = time.monotonic()

    async def load_first(self) -> None:
        """Load the first model; raises what is wrong with it."""
        await self._load_entry(self._entries[0])

    async def unload_idle(self) -> None:
        """Unload models that nobody has used for as long as the settings say; never ends."""
        seconds = self._settings.limits.idle_seconds
        if seconds is None:
            return
        while True:
            await asyncio.sleep(seconds / _IDLE_STEPS)
            end = time.monotonic() - seconds
            for entry in self._entries:
                if entry.used_at < end:
                    await self._unload_if_idle(entry)

    async def close(self) -> None:
        """Unload all."""
        for warming in self._warming:
            warming.cancel()
        await asyncio.gather(*self._warming, return_exceptions=True)
        for entry in self._entries:
            await self._unload(entry)

    def _entry(self, name: str | None) -> _Entry:
        found = self._entries[0] if name is None else self._by_name.get(name)
        if found is None:
            shown = name if name is not None and len(name) <= 80 else f"{str(name)[:80]}…"
            raise RequestError(
                404,
                f"there is no model {shown!r}; /v1/models lists those that are served",
                code="model_not_found",
                param="model",
            )
        return found

    async def _loaded(self, entry: _Entry) -> ServedModel:
        try:
            return await self._load_entry(entry)
        except (GgmlkitError, OSError, MemoryError) as error:
            LOG.error("the model %s can't be loaded: %s", entry.source.name, error)
            raise RequestError(
                503,
                f"the model {entry.source.name!r} can't be loaded; the server's log says why",
                code="model_not_loaded",
                headers={"Retry-After": "60"},
            ) from None

    async def _load_entry(self, entry: _Entry) -> ServedModel:
        async with entry.lock:  # others who ask for it meanwhile wait
            if entry.served is None:
                await self._make_room(entry)
                start = time.monotonic()
                entry.served = await to_thread.run_sync(
                    partial(self._load, entry.source, self._settings, is_first=entry.is_first),
                    limiter=self._loaders,
                )
                entry.was_loaded = True
                entry.used_at = time.monotonic()
                seconds = entry.used_at - start
                self._say(f"loaded {entry.served.described()}, in {seconds:.1f} s")
                warming = asyncio.create_task(self._warm(entry, entry.served))
                self._warming.add(warming)
                warming.add_done_callback(self._warming.discard)
            return entry.served

    async def _warm(self, entry: _Entry, served: ServedModel) -> None:
        """Prepare a model for grammars when nobody waits for it."""
        while entry.users or time.monotonic() - entry.used_at < _QUIET_SECONDS:
            await asyncio.sleep(_QUIET_SECONDS)
        if entry.served is not served:
            return  # it was unloaded
        try:
            await to_thread.run_sync(served.warm, limiter=self._loaders)
        except GgmlkitError as error:  # which the requests that need it are told
            LOG.info("%s is not prepared for grammars: %s", served.name, error)

    async def _make_room(self, entry: _Entry) -> None:
        """Unload what was used longest ago until there is memory for another model."""
        wanted = _file_bytes(entry.source.path) * _SHARE_OF_FILE
        while (free := available_bytes()) is not None and free < wanted:
            idle = [each for each in self._entries if each.is_idle]
            if not idle:
                return  # perhaps it suffices
            await self._unload_if_idle(min(idle, key=lambda each: each.used_at))

    async def _unload_if_idle(self, entry: _Entry) -> None:
        async with entry.lock:  # nobody loads it again before its memory is free
            if entry.is_idle:
                await self._unload(entry)

    async def _unload(self, entry: _Entry) -> None:
        served, entry.served = entry.served, None
        if served is not None:
            await to_thread.run_sync(served.close)
            self._say(f"unloaded {served.name}")


def _file_bytes(path: str) -> int:
    """Of a model's file; 0 if that is not known before it is opened."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
