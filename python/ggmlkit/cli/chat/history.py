"""The messages typed before, kept between runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import FileHistory

_MOST_BYTES = 1 << 20


class KeptHistory(FileHistory):
    """A history in a file that only its user can read; without the file, one of this run alone."""

    def __init__(self, path: Path) -> None:
        with suppress(OSError):
            if path.exists() and not path.is_file():  # a pipe would be waited for
                path = Path(os.devnull)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            _shorten(path)
        super().__init__(path)

    def load_history_strings(self) -> Iterable[str]:
        """The messages, the newest first."""
        with suppress(OSError):
            return list(super().load_history_strings())
        return []

    def store_string(self, string: str) -> None:
        """Add a message to the file; what is no text in it becomes question marks."""
        with suppress(OSError):
            super().store_string(string.encode(errors="replace").decode())


def history_file() -> Path:
    """The file in the user's state folder, which XDG_STATE_HOME may name.

    A user without a home has the null device.
    """
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        try:
            state = Path.home() / ".local" / "state"
        except RuntimeError:
            return Path(os.devnull)
    return state / "ggmlkit" / "chat_history"


def _shorten(path: Path) -> None:
    """Keep the newer half of a file that has grown large."""
    if path.stat().st_size <= _MOST_BYTES:
        return
    from ggmlkit.io.writing.atomic import replacing

    newer = path.read_bytes()[-_MOST_BYTES // 2 :]
    with replacing(path) as file:
        file.write(newer[newer.find(b"\n#") + 1 :])
