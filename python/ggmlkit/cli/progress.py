"""Progress of long work: a bar on a terminal, plain lines otherwise; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ggmlkit.cli.metadata_text import printable

Progress = Callable[[int, int, str], None]

_SECONDS_BETWEEN_LINES = 2.0


def progress(title: str, *, of_bytes: bool = True) -> AbstractContextManager[Progress]:
    """A callback to give to long work: `(done, in all, what)`; in all 0 is unknown.

    Args:
        title: what is shown.
        of_bytes: bytes are counted, so their speed is shown, and `what` is a tensor's name.
            Otherwise only the share is.
    """
    return _bar(title, of_bytes) if sys.stderr.isatty() else _lines(title, of_bytes)


@contextmanager
def _bar(title: str, of_bytes: bool) -> Iterator[Progress]:
    from rich import progress as bars
    from rich.console import Console

    speed = (bars.DownloadColumn(), bars.TransferSpeedColumn())
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        *(speed if of_bytes else (bars.TaskProgressColumn(),)),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[what]}", markup=False),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, what="", visible=False)

        def report(done: int, total: int, what: str) -> None:
            bar.update(
                task, visible=True, completed=done, total=total or None, what=printable(what)
            )

        yield report


@contextmanager
def _lines(title: str, of_bytes: bool) -> Iterator[Progress]:
    start = time.monotonic()
    next_line = start + _SECONDS_BETWEEN_LINES
    all_bytes: int | None = None

    def report(done: int, total: int, what: str) -> None:
        nonlocal next_line, all_bytes
        all_bytes = total
        now = time.monotonic()
        if now >= next_line:
            next_line = now + _SECONDS_BETWEEN_LINES
            share = f" {100 * done // max(1, total)} %" if total or of_bytes else ""
            _say(f"{title}:{share} {printable(what)}")

    yield report
    if all_bytes is not None and of_bytes:  # there was something to do
        _say(f"{title}: {all_bytes / 1e6:.1f} MB in {time.monotonic() - start:.1f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
