"""The process that renders chat templates, with limits that no template can exceed.

It answers requests on a socket until that is closed. If a request takes too much processor time, a
signal of the system ends the process, even while Python code runs; the system also limits its
memory. After all imports, the process can't open any file or socket.
"""

from __future__ import annotations

import marshal
import os
import resource
import signal
from datetime import datetime

from ggmlkit.text.template.protocol import (
    ANSWER,
    FAILURE,
    OUT_OF_MEMORY,
    OVERTIME,
    READY,
    REQUEST,
    TEXT,
    Bounds,
    encoded,
)
from ggmlkit.text.template.sandbox import Sandbox, TemplateFailure

_CHANNEL = 0  # standard input


def serve(bounds: Bounds, sandbox: Sandbox | None = None) -> None:
    """Answer requests until there are no more, then end the process."""
    sandbox = sandbox or Sandbox()
    signal.signal(OVERTIME, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [OVERTIME])
    memory = _Memory(bounds.megabytes << 20)
    memory.limit()
    _give_up_rights()
    _send(READY, b"")
    with open(_CHANNEL, "rb", closefd=False) as requests:
        while len(size := requests.read(REQUEST.size)) == REQUEST.size:
            signal.setitimer(signal.ITIMER_PROF, bounds.seconds)
            try:
                kind, text = answer(sandbox, requests.read(*REQUEST.unpack(size)))
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            signal.setitimer(signal.ITIMER_PROF, 0)
            last = memory.is_used()
            _send(kind, text, last)
            if last:
                break
    os._exit(0)


def answer(sandbox: Sandbox, request: bytes) -> tuple[bytes, bytes]:
    """Kind and text of the answer to a request."""
    source, variables, now = marshal.loads(request)
    try:
        return TEXT, encoded(sandbox.rendered(source, variables, datetime(*now)))
    except TemplateFailure as error:
        return FAILURE, encoded(str(error))


def _send(kind: bytes, text: bytes, last: bool = False) -> None:
    for part in (ANSWER.pack(kind, last, len(text)), text):
        left = memoryview(part)
        while left:
            left = left[os.write(_CHANNEL, left) :]


class _Memory:
    """Limits the memory of this process to ``most`` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        try:
            self._status = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:  # then all mapped memory counts
            self._status = -1
        self._mapped, self._resident = self._now()

    def limit(self) -> None:
        """Set the system's limit, which counts mapped memory: Python maps more than it uses."""
        _limit(resource.RLIMIT_AS, self._mapped + self._most - self._resident)

    def is_used(self) -> bool:
        """Whether so much memory stays in use that too little is left for the next request."""
        return self._now()[0] - self._mapped > self._most // 4

    def _now(self) -> tuple[int, int]:
        """Bytes of mapped memory, and of memory in use."""
        if self._status < 0:
            return 0, 0
        mapped, resident, *_ = os.pread(self._status, 100, 0).split()
        page = resource.getpagesize()
        return int(mapped) * page, int(resident) * page


def _give_up_rights() -> None:
    """Forbid new files, sockets and processes."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 0)
    _limit(resource.RLIMIT_NPROC, 0)  # without effect for the superuser


def _limit(what: int, most: int) -> None:
    """Set a limit permanently; a lower limit of the process stays."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))
