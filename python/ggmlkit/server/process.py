"""Runs the server as a process: its address, its signals, its end."""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

from ggmlkit.io import open as open_file
from ggmlkit.server.app import create_app
from ggmlkit.server.hosts import checked_hosts
from ggmlkit.server.keys import is_loopback
from ggmlkit.server.tracing import provider_from_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ggmlkit.server.serving import Serving
    from ggmlkit.server.settings import ServerSettings

_INTERRUPTED: Final = 130
_WAYS_OUT: Final = {
    errno.EADDRINUSE: "another program listens there: choose another with --port, 0 for a free one",
    errno.EADDRNOTAVAIL: "--host takes an address of this machine, such as 127.0.0.1",
    errno.EACCES: "choose a --port of 1024 or more",
}
_DOWNLOADED: Final = "hf:"
_SECONDS_TO_END: Final = 5  # for connections, once their answers have ended
# The command line collects garbage seldom, which suits programs that soon end.
_COLLECTED: Final = (2_000, 10, 10)
_KEEP_ALIVE: Final = 75  # seconds, longer than proxies keep a connection


def serve(settings: ServerSettings, say: Callable[[str], None] = print) -> int:
    """Serve until a signal ends it; returns the exit code.

    SIGTERM, or SIGINT once, lets running answers end and refuses new requests. SIGINT twice ends at
    once.

    Args:
        say: is told, in lines, the address and what was loaded.

    Raises:
        GgmlkitError: a file is not a model, or the first model can't be loaded.
        OSError: a file can't be read, or the address can't be used.
    """
    draft = settings.engine.draft
    paths = [source.path for source in settings.models] + ([] if draft is None else [draft])
    for path in paths:
        if not path.startswith(_DOWNLOADED):
            open_file(path).close()  # what is missing or damaged is said at once
    failures: list[Exception] = []
    listener = _listener(settings)
    try:
        tracing = provider_from_environment() if settings.traces else None
        app = create_app(
            settings,
            say=say,
            on_failure=failures.append,
            tracing=tracing,
            hosts=checked_hosts(settings),
        )
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_SECONDS_TO_END,
        )
        server = _Server(config, app.state.serving, failures)
        say(f"serving on {address(listener)}")
        with _collecting_garbage():
            server.run(sockets=[listener])
    finally:
        listener.close()
    if failures:
        raise failures[0]
    return 0


@contextmanager
def _collecting_garbage() -> Iterator[None]:
    """Frees soon what requests leave in cycles; what is there before is no garbage."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_COLLECTED)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Writes the server's log to stderr: a line for each request, and what fails."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log, of_uvicorn = logging.getLogger("ggmlkit.server"), logging.getLogger("uvicorn")
    levels = log.level, of_uvicorn.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    of_uvicorn.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(levels[0])
        of_uvicorn.setLevel(levels[1])


def warning_of(settings: ServerSettings) -> str | None:
    """What to warn of before serving; None: of nothing."""
    if settings.keys or is_loopback(settings.host):
        return None
    return (
        f"anyone who reaches {settings.host} can use this server: set a key with --api-key-file, "
        "or listen on 127.0.0.1"
    )


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listener(settings: ServerSettings) -> socket.socket:
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(error.errno, _why(error), f"{settings.host}:{settings.port}") from None


def _why(error: OSError) -> str:
    """What is wrong with an address, and the way out."""
    number = error.errno or 0
    if number < 0:  # of getaddrinfo, which strerror does not know
        return f"this name has no address; {_WAYS_OUT[errno.EADDRNOTAVAIL]}"
    said = os.strerror(number) if number else str(error)
    return f"{said}; {_WAYS_OUT[number]}" if number in _WAYS_OUT else said


class _Server(uvicorn.Server):
    """uvicorn, but with an end that waits for answers."""

    def __init__(self, config: uvicorn.Config, serving: Serving, failures: list[Exception]) -> None:
        super().__init__(config)
        self._serving, self._failures = serving, failures
        self._drained_at = 0.0  # when waiting for answers ends; 0: nobody asked for the end

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals; unlike uvicorn's, they don't end the process again at the end."""
        before = {
            each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second SIGINT ends at once."""
        del frame
        if self._drained_at and sig == signal.SIGINT:
            os._exit(_INTERRUPTED)
        if not self._drained_at:
            self._drained_at = time.monotonic() + self._serving.settings.limits.drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Whether to end now."""
        ends = await super().on_tick(counter) or bool(self._failures)
        if self._drained_at:
            self._serving.admission.is_draining = True
            is_late = time.monotonic() >= self._drained_at
            if is_late:
                self._serving.expire_all()
            ends = ends or is_late or not self._serving.admission.answers
        return ends
