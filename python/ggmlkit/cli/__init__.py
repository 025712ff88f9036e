"""The `ggmlkit` command: one module a subcommand."""

from __future__ import annotations

import io
import sys
import warnings


def main() -> None:
    """Run the command line; exits with 0 done, 1 the input is at fault, 2 the command line is."""
    from ggmlkit.cli.app import app

    # A model may say what the terminal's encoding can't: show a question mark, don't stop.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    warnings.formatwarning = _one_line
    app(prog_name="ggmlkit")


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    """What the user reads, without the place in our code that a programmer would want."""
    return f"ggmlkit: warning: {message}\n"


__all__ = ["main"]
