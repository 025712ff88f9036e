"""Processes that render templates, forked from one that has imported all they need.

Damaged templates often end the process that renders them. A fork takes a millisecond, a start as in
the library a hundred times as long. What the process does afterwards is the same.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from functools import cache

from ggmlkit.text.template.process import Bounds
from ggmlkit.text.template.sandbox import Sandbox
from ggmlkit.text.template.worker import serve

_FORK, _STATUS = b"f", b"s"
_LONGEST = 100  # bytes of a message


class ForkedRenderer:
    """A forked process that renders templates."""

    returncode: int

    def __init__(self, bounds: Bounds, channel: int) -> None:
        message = f"{bounds.seconds} {bounds.megabytes}".encode()
        _, self._parent = _parent()
        socket.send_fds(self._parent, [_FORK + message], [channel])
        self._pid = int(self._parent.recv(_LONGEST))

    def poll(self) -> int | None:
        """The exit status, if it has ended; minus a signal's number."""
        if not hasattr(self, "returncode"):
            self._parent.send(_STATUS + b"%d" % self._pid)
            if not (status := self._parent.recv(_LONGEST).strip()):
                return None
            self.returncode = int(status)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it hasn't.
        """
        last = time.monotonic() + (1e9 if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > last:
                raise subprocess.TimeoutExpired("a renderer", timeout or 0)
            time.sleep(0.0002)
        return self.returncode


@cache
def _parent() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process whose forks render, and the socket to it; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    return process, ours


def _answer_requests() -> None:
    sandbox = Sandbox()
    gc.freeze()  # so that forks don't copy objects when they count references
    requests = socket.socket(fileno=0)
    while True:
        message, channels, _, _ = socket.recv_fds(requests, _LONGEST, 1)
        if not message:
            break
        kind, rest = message[:1], message[1:]
        if kind == _FORK:
            if (pid := os.fork()) == 0:
                os.dup2(channels[0], 0)
                os.close(channels[0])
                seconds, megabytes = rest.split()
                serve(Bounds(float(seconds), int(megabytes)), sandbox)
            os.close(channels[0])
            requests.send(b"%d" % pid)
        else:
            pid, status = os.waitpid(int(rest), os.WNOHANG)
            requests.send(b"%d" % os.waitstatus_to_exitcode(status) if pid else b" ")


if __name__ == "__main__":
    _answer_requests()
