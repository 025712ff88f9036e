"""The ingress: reads a request whole, so that its prompt decides which replica answers."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ggmlkit.chat.errors import RequestError, busy, internal_error
from ggmlkit.server.app import cors_options  # it also loads the shapes of all APIs' errors
from ggmlkit.server.bodies import body_bytes
from ggmlkit.server.endpoints import path_of
from ggmlkit.server.errors import error_response
from ggmlkit.server.keys import check_key
from ggmlkit.server.ray.beginning import beginning_of

if TYPE_CHECKING:
    from ggmlkit.server.settings import ServerSettings

LOG = logging.getLogger("ggmlkit.server")
_TRIES: Final = 3  # replicas that are asked, if they die before they answer
_KEPT: Final = (
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "root_path",
    "headers",
    "client",
    "server",
)  # of a scope; the rest is the process's own
_ID: Final = b"x-request-id"  # Ray gives one to each request, which replicas take, and returns it


class Ingress:
    """Passes requests on to replicas.

    Args:
        engine: handle of their deployment.
        settings: of the server.
    """

    def __init__(self, engine: Any, settings: ServerSettings) -> None:
        self._answer = engine.options(stream=True, method_name="answer")
        self._settings = settings
        self._app: ASGIApp = self._http
        if settings.cors_origins:
            self._app = CORSMiddleware(self._app, **cors_options(settings))

    def __serve_build_asgi_app__(self) -> Any:  # Ray's name

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await self.run(scope, receive, send)

        return application  # a function: of a method, uvicorn can't tell that it is ASGI 3

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            await self._pass_on(request, send)
        except RequestError as error:
            await error_response(error, path_of(scope))(scope, receive, send)
        except ClientDisconnect:
            return

    async def _body(self, request: Request) -> bytes:
        """What is passed on: nothing without a key, as a replica then only refuses it."""
        try:
            check_key(request, self._settings.keys)
        except RequestError:
            return b""
        return await body_bytes(request, self._settings.limits)

    async def _pass_on(self, request: Request, send: Send) -> None:
        body = await self._body(request)
        scope = {name: request.scope[name] for name in _KEPT if name in request.scope}
        beginning = beginning_of(path_of(scope), body)
        for rest in reversed(range(_TRIES)):
            has_begun = False
            messages = self._answer.remote(scope, body, beginning=beginning)
            try:
                async for message in messages:
                    has_begun = True
                    await send(_without_id(message))
                return
            except BackPressureError:
                raise busy(429, "all replicas are busy; try again later", "queue_full") from None
            except RayActorError as error:
                LOG.error("a replica died: %s", error)
                if has_begun:
                    raise  # the client sees that the response is cut
                if not rest:
                    raise internal_error() from None
            except BaseException:  # the client went away, or so
                with suppress(Exception):
                    messages.cancel()
                raise


def _without_id(message: Message) -> Message:
    if "headers" in message:
        message["headers"] = [each for each in message["headers"] if each[0].lower() != _ID]
    return message


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
