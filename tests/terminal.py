"""A program in a pseudo-terminal: what it shows, and keys to type."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

CTRL_C, CTRL_D, CTRL_R, ENTER, UP = "\x03", "\x04", "\x12", "\r", "\x1b[A"
_PATIENCE = 60.0
_CONTROL = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])|\r")
# The terminal becomes the program's own, so that Ctrl-C reaches it.
_START = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"


def paste(text: str) -> str:
    """A text as a terminal sends it when it is pasted."""
    return f"\x1b[200~{text}\x1b[201~"


class Terminal:
    """A Python program whose three streams are a terminal of its own.

    Args:
        code: the program.
        state: the user's state folder.
        term: the kind of the terminal.
    """

    def __init__(self, code: str, state: Path, term: str = "xterm") -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START + code],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"TERM": term, "XDG_STATE_HOME": str(state)},
        )
        os.close(slave)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def type(self, keys: str | bytes) -> None:
        """Type or paste."""
        data = keys if isinstance(keys, bytes) else keys.encode()
        while data:
            data = data[os.write(self._master, data[:512]) :]

    def wait_for(self, text: str) -> str:
        """Wait until a text is shown; returns what was shown since the last text, up to its end."""
        before = time.monotonic()
        while text not in self.shown:
            left = _PATIENCE - (time.monotonic() - before)
            assert left > 0, f"{text!r} does not come; shown: {self.shown!r}"
            assert self._read(left), f"the program ended without {text!r}: {self.shown!r}"
        end = self.shown.index(text) + len(text)
        found, self.shown = self.shown[:end], self.shown[end:]
        return found

    def code(self) -> int:
        """The exit code, when the program has ended; the rest that it showed is kept."""
        while self._read(_PATIENCE):
            pass
        return self._process.wait(_PATIENCE)

    def _read(self, seconds: float) -> bool:
        """Take what the program shows; False at its end."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        try:
            data = os.read(self._master, 1 << 16) if ready else b""
        except OSError:  # the other end is closed
            data = b""
        self.shown += _CONTROL.sub("", data.decode(errors="replace"))
        return bool(data)
