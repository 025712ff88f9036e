"""The `ggmlkit` command: one module a subcommand."""

from __future__ import annotations

import gc
import io
import os
import sys
import warnings


def main() -> None:
    """Run the command line; exits with 0 done, 1 the input is at fault, 2 the command line is."""
    # No command multiplies with numpy: its library need not start threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Loading makes many objects and hardly any garbage: look for it seldom.
    gc.set_threshold(100_000, 50, 100)
    from ggmlkit.cli.app import run

    # A model may say what the terminal's encoding can't: show a question mark, don't stop.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    warnings.formatwarning = _one_line
    try:
        code = run(sys.argv[1:])
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # as where it was closed before we began
                stream.flush()
    except BrokenPipeError:  # whoever read our output has enough
        code = 1
    # All that is left is memory, which the system takes back in a tenth of the time that python
    # would take to give it.
    os._exit(code)


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    """What the user reads, without the place in our code that a programmer would want."""
    return f"ggmlkit: warning: {message}\n"


__all__ = ["main"]
