"""Processes that render chat templates, with limits that no template can exceed.

A template is a program from an untrusted source. It runs in a separate process, which is started on
first use, kept for the next template, and ends with this process. It gets a copy of the values and
returns text.
"""

from __future__ import annotations

import atexit
import importlib.util
import marshal
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from ggmlkit.errors import ModelError
from ggmlkit.text.template.protocol import (
    ANSWER,
    FAILURE,
    OUT_OF_MEMORY,
    OVERTIME,
    READY,
    REQUEST,
    Bounds,
    decoded,
)

_BOUNDS = Bounds()
_MOST_PROCESSES = 4
_PATIENCE = 60.0  # seconds without an answer; the machine can be busy, or the process stopped
_SECONDS_TO_END = 5.0
_LONGEST = 64 << 20  # bytes of a request
# Limit of an answer in bytes, and more for each byte of the request: to process a long answer takes
# more time than to make it.
_LONGEST_TEXT, _TEXT_OF_A_BYTE = 4 << 20, 4
_BOOT = """\
import sys
sys.path[:] = [p for p in sys.path if p] + sys.argv[3:]
from ggmlkit.text.template.worker import Bounds, serve
serve(Bounds(float(sys.argv[1]), int(sys.argv[2])))
"""
# Environment variables that Python can need to start, and the time zone.
_ENVIRONMENT = (
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
    "TZ",
)


class Running(Protocol):
    """A running process, with the methods of ``subprocess.Popen`` used here."""

    returncode: int

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


Start: TypeAlias = Callable[[Bounds, int], Running]


class Renderers:
    """A few processes that render templates; any number of threads can use them.

    Args:
        bounds: the limits of a template.
        most: the largest number of processes; if all are busy, threads wait.
        patience: seconds to wait for an answer of a process.
        start: starts a process that answers on the given end of a socket.
    """

    def __init__(
        self,
        bounds: Bounds = _BOUNDS,
        most: int = _MOST_PROCESSES,
        patience: float = _PATIENCE,
        start: Start | None = None,
    ) -> None:
        self._bounds, self._most, self._patience = bounds, most, patience
        self._start = start or _started
        self._forget()
        _ALL.add(self)

    def rendered(self, source: str, variables: dict[str, Any]) -> str:
        """The rendered text of a template.

        Args:
            source: a jinja2 template.
            variables: plain values; see ``values.plain``.

        Raises:
            ModelError: the template is not valid jinja2, fails, refuses the variables, or takes too
                much time or memory; or no process can be started.
        """
        now = datetime.now()
        moment = (*now.timetuple()[:6], now.microsecond)
        request = marshal.dumps((source, variables, moment), 4)
        if len(request) > _LONGEST:
            raise ModelError(
                f"the messages have {len(request) >> 20} MB, too much for a chat template"
            )
        with self._process() as process:
            kind, text = process.answer(request)
        if kind == FAILURE:
            raise ModelError(decoded(text))
        return decoded(text)

    def prepare(self) -> None:
        """Start a process in advance, as it takes a moment to import its modules.

        Raises:
            ModelError: no process can be started.
        """
        with self._process():
            pass

    def close(self) -> None:
        """End the processes; the next template starts new ones."""
        with self._changed:
            processes = list(self._alive)
            self._idle.clear()
            self._alive.clear()
            self._changed.notify_all()
        for process in processes:
            process.kill()

    def _forget(self) -> None:
        """Begin without processes."""
        self._changed = threading.Condition()
        self._idle: list[_Process] = []
        self._alive: set[_Process] = set()

    def after_fork(self) -> None:
        """Called in a forked process: forget the processes, which belong to the parent."""
        for process in self._alive:
            process.abandon()
        self._forget()

    @contextmanager
    def _process(self) -> Iterator[_Process]:
        """A process that no other thread uses; afterwards it is kept for the next template."""
        process = self._taken()
        try:
            yield process
        except BaseException:
            process.kill()  # it can still be working on the request
            raise
        finally:
            with self._changed:
                if process.is_running() and process in self._alive:
                    self._idle.append(process)
                else:
                    process.kill()
                    self._alive.discard(process)
                self._changed.notify()

    def _taken(self) -> _Process:
        with self._changed:
            while not self._idle and len(self._alive) >= self._most:
                self._changed.wait()
            while self._idle:
                process = self._idle.pop()
                if process.is_running():
                    return process
                process.kill()  # it has ended already, but its socket is still open
                self._alive.discard(process)
            process = _Process(self._start, self._bounds, self._patience)
            self._alive.add(process)
            return process


class _Process:
    """One process, and the socket to it."""

    def __init__(self, start: Start, bounds: Bounds, patience: float) -> None:
        self._bounds = bounds
        self._is_ready = False
        try:
            self._socket, other_end = socket.socketpair()
        except OSError as error:
            raise _no_process(error) from error
        self._socket.settimeout(patience)
        with other_end:
            try:
                self._process = start(bounds, other_end.fileno())
            except (OSError, subprocess.SubprocessError) as error:
                self._socket.close()
                raise _no_process(error) from error
            except ModelError:
                self._socket.close()
                raise

    def answer(self, request: bytes) -> tuple[bytes, bytearray]:
        """Kind and text of the answer; ModelError if the process ends without one."""
        try:
            for part in (REQUEST.pack(len(request)), request):
                self._socket.sendall(part, socket.MSG_NOSIGNAL)
            if not self._is_ready:
                self._is_ready = self._received(0)[0] == READY
            return self._received(_LONGEST_TEXT + _TEXT_OF_A_BYTE * len(request))
        except TimeoutError:
            self.kill()
            raise ModelError(
                f"the process that renders chat templates has not answered for "
                f"{self._socket.gettimeout():g} seconds and was ended; try again"
            ) from None
        except OSError as error:  # the other end of the socket is closed
            raise self._ended() from error

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process at once; it has nothing to finish."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def abandon(self) -> None:
        """Forget the process without ending it, as it belongs to another process."""
        self._socket.close()
        self._process.returncode = 0

    def _received(self, longest: int) -> tuple[bytes, bytearray]:
        kind, last, size = ANSWER.unpack(self._bytes(ANSWER.size))
        if size > longest:
            self.kill()
            raise ModelError(
                f"the chat template makes {size >> 20} MB of text from these messages, far too "
                "much for a prompt: it is broken or hostile"
            )
        text = self._bytes(size)
        if last:
            self.kill()
        return kind, text

    def _bytes(self, count: int) -> bytearray:
        found = bytearray(count)
        left = memoryview(found)
        while left:
            received = self._socket.recv_into(left)
            if received == 0:
                raise ConnectionResetError
            left = left[received:]
        return found

    def _ended(self) -> ModelError:
        """The error that says why there is no answer."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_END)
        self.kill()
        status = self._process.returncode
        if not self._is_ready:
            return _no_process(f"it ended with status {status}")
        if status == -OVERTIME:
            limit = f"{self._bounds.seconds:g} s of processor time"
        elif status == OUT_OF_MEMORY:
            limit = f"{self._bounds.megabytes} MB of memory"
        else:
            how = f"signal {_signal_name(-status)}" if status < 0 else f"status {status}"
            return ModelError(f"the chat template ended the process that renders it ({how})")
        return ModelError(
            f"the chat template takes more than {limit}, which no prompt needs: it is broken or "
            "hostile, so write the prompt without it"
        )


def _started(bounds: Bounds, channel: int) -> subprocess.Popen[bytes]:
    """A new process that answers on its standard input."""
    return subprocess.Popen(
        _command(bounds),
        stdin=channel,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        start_new_session=True,  # so that Ctrl-C in the terminal does not reach it
    )


def _command(bounds: Bounds) -> list[str]:
    """The command of a process that imports nothing from the current or the user's folder."""
    folders = [Path(__file__).absolute().parents[3], *map(_folder, ("jinja2", "markupsafe"))]
    arguments = (bounds.seconds, bounds.megabytes, *dict.fromkeys(folders))
    return [str(_python()), "-s", "-S", "-c", _BOOT, *map(str, arguments)]


def _folder(package: str) -> Path:
    """The folder that a package is imported from."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModelError(f"chat templates need the package {package}, which is not installed")
    return Path(spec.origin).absolute().parents[1]


def _python() -> Path:
    """A Python interpreter; ``sys.executable`` is none in a program that embeds Python."""
    spawn = sys.modules.get("multiprocessing.spawn")  # such a program can name one there
    candidates = [
        None if spawn is None else spawn.get_executable(),
        sys.executable,
        getattr(sys, "_base_executable", None),
        Path(sys.base_exec_prefix, "bin", f"python3.{sys.version_info.minor}"),
    ]
    for path in (Path(os.fsdecode(each)) for each in candidates if each):
        if path.name.startswith(("python", "pypy")) and os.access(path, os.X_OK):
            return path.absolute()
    raise _no_process("there is no Python interpreter; set one with multiprocessing.set_executable")


def _no_process(reason: object) -> ModelError:
    return ModelError(f"the process that renders chat templates can't be started: {reason}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _close_all() -> None:
    for renderers in list(_ALL):
        renderers.close()


def _after_fork() -> None:
    for renderers in list(_ALL):
        renderers.after_fork()


_ALL: weakref.WeakSet[Renderers] = weakref.WeakSet()
atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
RENDERERS = Renderers()
