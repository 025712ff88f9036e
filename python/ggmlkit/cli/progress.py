"""Progress of long work: a bar on a terminal, plain lines otherwise; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ggmlkit.cli.metadata_text import printable

Progress = Callable[[int, int, str], None]

_SECONDS_BETWEEN_LINES = 2.0


def progress(title: str) -> AbstractContextManager[Progress]:
    """A callback to give to long work: `(bytes done, bytes in all, tensor name)`."""
    return _bar(title) if sys.stderr.isatty() else _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[tensor]}", markup=False),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, tensor="", visible=False)

        def report(done: int, total: int, name: str) -> None:
            bar.update(task, visible=True, completed=done, total=total, tensor=printable(name))

        yield report


@contextmanager
def _lines(title: str) -> Iterator[Progress]:
    start = time.monotonic()
    next_line = start + _SECONDS_BETWEEN_LINES
    all_bytes: int | None = None

    def report(done: int, total: int, name: str) -> None:
        nonlocal next_line, all_bytes
        all_bytes = total
        now = time.monotonic()
        if now >= next_line:
            next_line = now + _SECONDS_BETWEEN_LINES
            _say(f"{title}: {100 * done // max(1, total)} % {printable(name)}")

    yield report
    if all_bytes is not None:  # there was something to do
        _say(f"{title}: {all_bytes / 1e6:.1f} MB in {time.monotonic() - start:.1f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
