"""The names by which requests may call the server.

A page of any site can give its own name the address 127.0.0.1 (DNS rebinding). The browser then
lets it read what a server on the user's machine answers. Such a request still has the site's name
as its Host.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ggmlkit.chat.errors import RequestError
from ggmlkit.server.endpoints import note_error, path_of
from ggmlkit.server.errors import error_response
from ggmlkit.server.keys import is_loopback
from ggmlkit.server.settings import ServerSettings

_ANY = "*"
_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.%]+)\]|(?P<name>[^:@/\[\]]+?)\.?)(:[0-9]*)?")


def checked_hosts(settings: ServerSettings) -> frozenset[str] | None:
    """The names that are let in, beside addresses of this machine itself; None: all.

    All are where a key is wanted, which no page of others has, and where other machines are
    served, unless the settings name some.
    """
    named = {_bare(name) for name in settings.allowed_hosts}
    if _ANY in named or not (named or (is_loopback(settings.host) and not settings.keys)):
        return None
    return frozenset({*named, "localhost", _bare(settings.host)})


class HostCheck:
    """Middleware that refuses requests whose Host is another.

    Args:
        hosts: names that are let in.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or self._is_let_in(Headers(scope=scope).getlist("host")):
            await self._app(scope, receive, send)
            return
        error = RequestError(
            403,
            "this server is not called by this name: add --allowed-host NAME for it",
            code="host_not_allowed",
        )
        note_error(scope, error)
        await error_response(error, path_of(scope))(scope, receive, send)

    def _is_let_in(self, given: list[str]) -> bool:
        """Whether a request with these headers is; browsers send exactly one."""
        names = [_bare(each) for each in given]
        return all(name in self._hosts or is_loopback(name) for name in names)


def _bare(host: str) -> str:
    """A name or an address without a port, in lower case; what has another form stays."""
    found = _HOST.fullmatch(host.strip().lower())
    return host if found is None else found["address"] or found["name"]
