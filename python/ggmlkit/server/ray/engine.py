"""A replica: the ASGI application with its model, called by the ingress instead of by a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from ray import serve

from ggmlkit.server.app import create_app
from ggmlkit.server.hosts import checked_hosts
from ggmlkit.server.ray.responses import SharedStore
from ggmlkit.server.tracing import provider_from_environment

if TYPE_CHECKING:
    from ggmlkit.server.settings import ServerSettings

_LOOK_SECONDS: Final = 0.05

Message = MutableMapping[str, Any]


class Engine:
    """The application of one replica. It is ready once its first model is loaded.

    Args:
        settings: of the server, the same for all replicas.
        responses: handle of what keeps responses for all of them.
    """

    async def __init__(self, settings: ServerSettings, responses: Any) -> None:  # type: ignore[misc]
        failures: list[Exception] = []
        self._app = create_app(
            settings,
            on_failure=failures.append,
            tracing=provider_from_environment() if settings.traces else None,
            responses=SharedStore(responses),
            hosts=checked_hosts(settings),
        )
        self._serving = self._app.state.serving
        self._lifespan = AsyncExitStack()
        self._answers: set[asyncio.Task[None]] = set()
        self._name = serve.get_replica_context().replica_id.unique_id.encode()
        await self._lifespan.enter_async_context(self._app.router.lifespan_context(self._app))
        while not self._serving.models.is_ready:
            if failures:
                await self._lifespan.aclose()
                raise failures[0]
            await asyncio.sleep(_LOOK_SECONDS)

    async def answer(
        self, scope: dict[str, Any], body: bytes, *, beginning: str = ""
    ) -> AsyncIterator[Message]:
        """The ASGI messages of a response.

        Args:
            scope: of the request.
            body: of the request, all of it.
            beginning: of its prompt; the router has used it.
        """
        del beginning
        messages: asyncio.Queue[Message | None] = asyncio.Queue()
        is_gone = asyncio.Event()
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if parts:
                return parts.pop()
            await is_gone.wait()
            return {"type": "http.disconnect"}

        async def run() -> None:
            try:
                await self._app(scope, receive, messages.put)
            finally:
                messages.put_nowait(None)

        task = asyncio.create_task(run())
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        try:
            while (message := await messages.get()) is not None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-replica", self._name)]
                yield message
            await task
        finally:
            is_gone.set()  # the answer of a client that went away ends at its next token

    async def check_health(self) -> None:
        """Called by Ray: a stopped engine is replaced or, where that fails, the replica."""
        for served in self._serving.models.served:
            _ = served.scheduler

    async def __del__(self) -> None:
        """Called by Ray after the last answer."""
        await self._lifespan.aclose()
