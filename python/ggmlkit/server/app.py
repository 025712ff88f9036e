"""The ASGI application: its endpoints, and what is around them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from ggmlkit.chat.errors import RequestError, internal_error
from ggmlkit.errors import GgmlkitError
from ggmlkit.server import state
from ggmlkit.server.anthropic import messages
from ggmlkit.server.endpoints import Endpoint, note_error, path_of
from ggmlkit.server.errors import error_response
from ggmlkit.server.hosts import HostCheck
from ggmlkit.server.llama_server import routes as llama_server
from ggmlkit.server.llama_server.metrics import LlamaMetrics
from ggmlkit.server.logs import RequestLog
from ggmlkit.server.models import Models
from ggmlkit.server.openai import chat, completions, embeddings, models
from ggmlkit.server.openapi import document
from ggmlkit.server.page.page import page_endpoints
from ggmlkit.server.responses import create, kept
from ggmlkit.server.serving import Serving
from ggmlkit.server.settings import ServerSettings
from ggmlkit.server.tracing import Tracing
from ggmlkit.text.template.process import RENDERERS

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

LOG = logging.getLogger("ggmlkit.server")
_LIKE: Final = 0.85  # of two paths, where 1 is the same
_LONGEST_SHOWN: Final = 80  # of a path that there is not
# Other APIs add theirs here.
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *state.ENDPOINTS,
    *models.ENDPOINTS,
    *chat.ENDPOINTS,
    *completions.ENDPOINTS,
    *embeddings.ENDPOINTS,
    *messages.ENDPOINTS,
    *create.ENDPOINTS,
    *kept.ENDPOINTS,
    *llama_server.ENDPOINTS,
)


def create_app(
    settings: ServerSettings,
    *,
    say: Callable[[str], None] = LOG.info,
    on_failure: Callable[[Exception], None] | None = None,
    tracing: TracerProvider | None = None,
    hosts: Collection[str] | None = None,
) -> Starlette:
    """The application; it loads the first model when it starts, and answers meanwhile.

    Args:
        say: is told, in a line, what was loaded.
        on_failure: is told why the first model can't be loaded. Without it, that is logged, and
            the next request tries again.
        tracing: makes spans of requests; it is shut down at the end.
        hosts: names by which requests may call the server; None: any.
    """
    serving = Serving(settings, Models(settings, say))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_load_first(serving, on_failure)),
            asyncio.create_task(serving.models.unload_idle()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            serving.expire_all()
            await serving.models.close()
            if tracing is not None:
                await serving.in_thread(tracing.shutdown)
            await serving.responses.close()

    middleware = [Middleware(RequestLog, count=serving.metrics.request)]
    if tracing is not None:
        middleware.append(Middleware(Tracing, provider=tracing))
    if hosts is not None:
        middleware.append(Middleware(HostCheck, hosts=hosts))
    if settings.cors_origins:
        middleware.append(_cors(settings))
    openapi = Endpoint("GET", "/openapi.json", _document(ENDPOINTS), "This document.")
    page = page_endpoints() if settings.page else ()
    app = Starlette(
        routes=[endpoint.route() for endpoint in (*ENDPOINTS, openapi, *page)],
        middleware=middleware,
        exception_handlers={HTTPException: _refused, Exception: _failed},
        lifespan=lifespan,
    )
    app.state.serving = serving
    serving.metrics.registry.register(LlamaMetrics(serving))
    return app


async def _load_first(serving: Serving, on_failure: Callable[[Exception], None] | None) -> None:
    with suppress(GgmlkitError):  # which a template says when it is used
        await serving.in_thread(RENDERERS.prepare)
    try:
        await serving.models.load_first()
    except Exception as error:
        if on_failure is None:
            LOG.error("the model can't be loaded: %s", error)
        else:
            on_failure(error)


def _cors(settings: ServerSettings) -> Middleware:
    # Browsers ask for it where a page of the internet calls a server in a private network.
    known = signature(CORSMiddleware).parameters  # older ones know less
    private: dict[str, Any] = {"allow_private_network": True}
    return Middleware(
        CORSMiddleware,
        **{name: private[name] for name in private.keys() & known},
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["X-Request-Id", "Retry-After"],
    )


def _document(endpoints: tuple[Endpoint, ...]) -> Callable[[Request], Any]:
    made = partial(document, endpoints)

    async def openapi(_: Request) -> Response:
        return JSONResponse(made())

    return openapi


async def _refused(request: Request, error: Exception) -> Response:
    """What starlette refuses, in the API's shape."""
    assert isinstance(error, HTTPException)
    message = _why_refused(request, error)
    code = "not_found" if error.status_code == 404 else None
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    found = RequestError(error.status_code, message, code=code, headers=headers)
    note_error(request.scope, found)
    return error_response(found, path_of(request.scope))


def _why_refused(request: Request, error: HTTPException) -> str:
    path = path_of(request.scope)
    if error.status_code == 404:
        known = [endpoint.path for endpoint in ENDPOINTS if "{" not in endpoint.path]
        shown = path if len(path) <= _LONGEST_SHOWN else f"{path[:_LONGEST_SHOWN]}…"
        like = get_close_matches(shown, known, n=1, cutoff=_LIKE)
        way_out = f"did you mean {like[0]!r}?" if like else "/openapi.json lists what there is"
        return f"there is no endpoint {shown!r}; {way_out}"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return f"this endpoint takes {allowed}, not {request.method}"
    return "the request is refused"


def _methods(request: Request) -> list[str]:
    """Of a request's path; starlette names those of one route alone."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = [route for route in routes if route.matches(request.scope)[0] != Match.NONE]
    return sorted({method for route in fitting for method in route.methods or ()})


async def _failed(request: Request, _: Exception) -> Response:
    """A defect outside the endpoints."""
    return error_response(internal_error(), path_of(request.scope))
