"""The routes of the page at ``/``, and the headers of its files.

The page has no secrets: it is served without a key, and sends the key that its user types. It may
load and ask nothing but this server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ggmlkit.server.endpoints import Endpoint

STATIC: Final = Path(__file__).parent / "static"
_FIRST: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A browser keeps the files, and asks each time whether they have changed.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class _File:
    """A file of the page, with what is sent beside it."""

    data: bytes
    headers: dict[str, str]


def page_endpoints() -> tuple[Endpoint, ...]:
    """The page, and each of its files under ``/page/``; they are read once."""
    files = sorted(path for path in STATIC.iterdir() if path.suffix in _TYPES)
    return (
        Endpoint("GET", "/", _sender(_read(STATIC / _FIRST)), "The page.", is_open=True),
        *(
            Endpoint("GET", f"/page/{path.name}", _sender(_read(path)), "A file.", is_open=True)
            for path in files
            if path.name != _FIRST
        ),
    )


def _read(path: Path) -> _File:
    data = path.read_bytes()
    tag = f'"{sha256(data).hexdigest()[:32]}"'
    return _File(data, {**HEADERS, "Content-Type": _TYPES[path.suffix], "ETag": tag})


def _sender(file: _File) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        if _has(request, file.headers["ETag"]):
            headers = {name: file.headers[name] for name in file.headers if name != "Content-Type"}
            return Response(status_code=304, headers=headers)
        return Response(file.data, headers=file.headers)

    return send


def _has(request: Request, tag: str) -> bool:
    """Whether the browser has the file already; a proxy that compresses makes tags weak."""
    known = request.headers.get("if-none-match", "")
    return any(each.strip().removeprefix("W/") in (tag, "*") for each in known.split(","))
