"""The commands by name, and how errors become exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from ggmlkit.cli.command_line import HELP, Command, HelpAsked, UsageError, columns
from ggmlkit.cli.metadata_text import printable
from ggmlkit.errors import GgmlkitError

_DONE, _INPUT_AT_FAULT, _COMMAND_LINE_AT_FAULT, _INTERRUPTED = 0, 1, 2, 130
NAMES = (
    "run",
    "chat",
    "convert",
    "quantize",
    "inspect",
    "compare",
    "verify",
    "repair",
    "export",
    "apply-lora",
    "apply-delta",
    "make-delta",
    "split",
    "merge",
    "metadata",
    "bench",
    "tokenize",
)
_USAGE = "Usage: ggmlkit [OPTIONS] COMMAND [ARGS]..."
_ABOUT = "Convert, quantize and run LLaMA-family models in the GGML file formats."


def run(words: Sequence[str]) -> int:
    """Run the command that ``words`` begin with; the exit code.

    What is wrong with the input is said in one sentence on stderr, without a traceback.
    """
    first, rest = (words[0], words[1:]) if words else ("", [])
    if first in NAMES:
        return _run(first, rest)
    if first in ("-h", "--help"):
        print(_help(), end="")
    elif first == "--version":
        from ggmlkit import __version__

        print(f"ggmlkit {__version__}")
    elif not first:
        print(_help(), end="", file=sys.stderr)
        return _COMMAND_LINE_AT_FAULT
    else:
        kind = "option" if first.startswith("-") else "command"
        return _refuse("ggmlkit", _USAGE, f"No such {kind}: {first}.")
    return _DONE


def _run(name: str, words: Sequence[str]) -> int:
    command = _command(name)
    full_name = f"ggmlkit {name}"
    try:
        command.call(words)
    except HelpAsked:
        print(command.help(full_name), end="")
    except UsageError as error:
        return _refuse(full_name, command.usage(full_name), str(error))
    except BrokenPipeError:
        raise  # whoever read our output has enough
    except (GgmlkitError, OSError, ImportError, MemoryError) as error:
        print(f"ggmlkit: {_sentence(error)}", file=sys.stderr)
        return _INPUT_AT_FAULT
    except KeyboardInterrupt:
        return _INTERRUPTED
    return _DONE


def _command(name: str) -> Command:
    own_name = name.replace("-", "_")
    return Command(getattr(import_module(f"ggmlkit.cli.commands.{own_name}"), own_name))


def _help() -> str:
    options = [("--version", "Print the version."), HELP]
    commands = [(name, _command(name).about) for name in NAMES]
    return f"{_USAGE}\n\n  {_ABOUT}\n\nOptions:\n{columns(options)}\nCommands:\n{columns(commands)}"


def _refuse(name: str, usage: str, reason: str) -> int:
    print(f"{usage}\nTry '{name} -h' for help.\n\nError: {reason}", file=sys.stderr)
    return _COMMAND_LINE_AT_FAULT


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, ImportError):  # a library that is missing, or that no memory is left for
        while isinstance(error.__cause__, ImportError):
            error = error.__cause__  # what numpy, say, writes a page about
        return printable(" ".join(f"a library can't be loaded: {error}".split()))
    return printable(" ".join(str(error).split()))
