"""API keys: who may use the server."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from ipaddress import ip_address

from starlette.requests import HTTPConnection

from ggmlkit.chat.errors import RequestError


def key_of(connection: HTTPConnection) -> str | None:
    """The key that a request brings, as a bearer token or as Anthropic's clients send it."""
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return connection.headers.get("x-api-key") or None


def is_known(key: str, keys: Sequence[str]) -> bool:
    """Whether a key is one of some. How long that takes says nothing about them."""
    given = key.encode("utf-8", "surrogateescape")
    found = [hmac.compare_digest(given, known.encode("utf-8")) for known in keys]
    return any(found)


def check_key(connection: HTTPConnection, keys: Sequence[str]) -> None:
    """Raise RequestError unless a request brings one of the keys, if there are any."""
    if not keys:
        return
    key = key_of(connection)
    if key is None:
        raise _refused("this server wants an API key: send it as 'Authorization: Bearer KEY'")
    if not is_known(key, keys):
        raise _refused("the API key is not one of this server's")


def _refused(message: str) -> RequestError:
    return RequestError(
        401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}
    )


def owner_of(connection: HTTPConnection) -> str:
    """Whose the things are that a request makes: a name made of its key; empty without one."""
    key = key_of(connection)
    return "" if key is None else sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def client_of(connection: HTTPConnection) -> str:
    """Who sends a request, for a fair order: a name made of the key, or the remote address."""
    if owner := owner_of(connection):
        return owner[:16]
    return connection.client.host if connection.client else ""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
