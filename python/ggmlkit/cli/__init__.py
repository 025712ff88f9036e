"""The `ggmlkit` command: one module a subcommand."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; exits with 0 done, 1 the input is at fault, 2 the command line is."""
    _open_closed_streams()
    # Its library need not start threads before something multiplies with numpy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Loading makes many objects and hardly any garbage: look for it seldom.
    gc.set_threshold(100_000, 50, 100)
    # A model may say what the terminal's encoding can't: show a question mark, don't stop.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    warnings.formatwarning = _one_line
    # So that temporary files are removed. The server has handlers of its own.
    signal.signal(signal.SIGTERM, _end)
    try:
        from ggmlkit.cli.app import run

        code = run(sys.argv[1:])
    except OSError:  # whoever read our output has enough, or no error can be printed
        code = 1
    except (MemoryError, SystemError):  # before the command began
        with suppress(OSError):
            print("ggmlkit: there is not enough memory", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:  # before the command began
        code = _INTERRUPTED
    # All that is left is memory, which the system takes back in a tenth of the time that python
    # would take to give it.
    os._exit(_flushed(code))


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _flushed(code: int) -> int:
    """The exit code after what is left to print is printed: 1 where that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 1
        except OSError as error:
            if not code and stream is sys.stdout:  # otherwise it has been said, or can't be
                from ggmlkit.cli.app import say_error

                with suppress(OSError):
                    say_error(error)
            code = code or 1
    return code


def _open_closed_streams() -> None:
    """Give the standard streams that were closed before we began to the null device.

    Otherwise a file that we open gets the number of one of them, and what is printed there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  # stays open
            setattr(sys, name, null)


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    """What the user reads, without the place in our code that a programmer would want."""
    return f"ggmlkit: warning: {message}\n"


__all__ = ["main"]
