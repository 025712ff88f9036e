"""Endpoints: what runs for a path, and what the document of the API says of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from ggmlkit.chat.errors import RequestError, as_request_error, internal_error, too_little_memory
from ggmlkit.errors import GgmlkitError
from ggmlkit.server.errors import error_response
from ggmlkit.server.keys import check_key
from ggmlkit.server.logs import ENDPOINT, note
from ggmlkit.server.serving import serving_of

LOG = logging.getLogger("ggmlkit.server")
_FIELD: Final = re.compile(r"[a-z_]*", re.IGNORECASE)  # of a place in a body, the outermost field
_GONE: Final = 499  # which nobody reads


def path_of(scope: Scope) -> str:
    """The path of a request within the application, which may be mounted in another."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if path.startswith(f"{root}/") else path


def note_error(scope: Scope, error: RequestError) -> None:
    """Add to the line of a request why it was refused: words for programs, never a text of it."""
    note(scope, error=error.code or "invalid_request")
    if error.param and (field := _FIELD.match(error.param)):
        note(scope, param=field.group())


@dataclass(frozen=True)
class Endpoint:
    """What runs for a method and a path.

    Attributes:
        method: of HTTP.
        path: as starlette writes it.
        run: makes the response; RequestErrors are written in the API's shape.
        summary: what it does, in a line.
        body: of the request, None without one.
        answer: of the response, None if it is not JSON of one shape.
        error: of the response where it is refused; None for OpenAI's.
        streams: whether it can answer with server-sent events.
        is_open: whether it serves without a key.
        query: the parameters behind the path's question mark, None without them.
    """

    method: str
    path: str
    run: Callable[[Request], Awaitable[Response]]
    summary: str
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    error: type[BaseModel] | None = None
    streams: bool = False
    is_open: bool = False
    query: type[BaseModel] | None = None

    def route(self) -> Route:
        """It as starlette takes it."""

        async def guarded(request: Request) -> Response:
            request.scope[ENDPOINT] = self.path
            path = path_of(request.scope)
            try:
                if not self.is_open:
                    check_key(request, serving_of(request).settings.keys)
                return await self.run(request)
            except RequestError as error:
                note_error(request.scope, error)
                return error_response(error, path)
            except GgmlkitError as error:
                LOG.error("%s failed: %s", self.path, error)
                found = as_request_error(error)
                note_error(request.scope, found)
                return error_response(found, path)
            except MemoryError:
                LOG.error("%s failed: there is too little memory", self.path)
                short = too_little_memory()
                note_error(request.scope, short)
                return error_response(short, path)
            except ClientDisconnect:
                return Response(status_code=_GONE)
            except Exception:
                LOG.exception("%s failed", self.path)
                return error_response(internal_error(), path)

        return Route(self.path, guarded, methods=[self.method])
