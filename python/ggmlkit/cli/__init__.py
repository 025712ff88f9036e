"""The `ggmlkit` command: one module a subcommand."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line; exits with 0 done, 1 the input is at fault, 2 the command line is."""
    from ggmlkit.cli.app import app

    # A model may say what the terminal's encoding can't: show a question mark, don't stop.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    app(prog_name="ggmlkit")


__all__ = ["main"]
