"""Runs the `ggmlkit` command inside the tests' own process."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from ggmlkit.cli.app import run


@dataclass(frozen=True)
class Result:
    """The output of a command."""

    stdout: str
    stderr: str


def ggmlkit(*arguments: str | Path, text: str = "", code: int = 0) -> Result:
    """Run a command that must end with exit code ``code``; ``text`` is its standard input."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "stdin", io.StringIO(text)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        ended = run([str(argument) for argument in arguments])
    assert ended == code, err.getvalue()
    return Result(out.getvalue(), err.getvalue())
