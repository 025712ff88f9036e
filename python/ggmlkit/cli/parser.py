"""`argparse` as every command uses it: its settings, its help, its errors as UsageError."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ggmlkit.cli.usage import UsageError
from ggmlkit.cli.words import arguments_of, arranged

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_WIDTH = 80
_WIDEST_NAMES = 30


class Parser(argparse.ArgumentParser):
    """A parser without abbreviations that raises UsageError instead of ending the process."""

    def __init__(self, prog: str, description: str, examples: str = "", **settings: Any) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            **settings,
        )
        self._stray = ""  # words that no argument takes
        self.color = False  # Python 3.14 would colour the help

    def parsed(self, words: Sequence[str]) -> argparse.Namespace:
        """The values of the words. UsageError for words that don't fit; exits after ``--help``."""
        values = argparse.Namespace(notes=[])
        found = arranged(self, words)
        if "--" in found and not arguments_of(self):
            self._stray = " ".join(found[found.index("--") + 1 :])
        _, extra = self.parse_known_args(found, values)
        if self._stray:
            self.error("")
        if extra:
            raise UsageError(f"unexpected argument: {' '.join(extra)}")
        return values

    def _where_it_belongs(self) -> str:
        """With which options a command without arguments takes a model and a text."""
        known = self._option_string_actions
        ways = [
            way
            for option, way in (("--model", "the model with -m"), ("--prompt", "a text with -p"))
            if option in known
        ]
        return f"; give {' and '.join(ways)}" if ways else ""

    def error(self, message: str) -> NoReturn:
        """Raise what `argparse` found wrong."""
        if self._stray:  # rather than the option that it was meant for
            raise UsageError(f"unexpected argument: {self._stray}{self._where_it_belongs()}")
        # "argument NAME: must be …" becomes a sentence with NAME as its subject.
        subject, colon, rest = message.removeprefix("argument ").partition(": ")
        is_of_one = message.startswith("argument ") and colon
        raise UsageError(f"{subject} {rest}" if is_of_one else message)

    def format_help(self) -> str:
        """The help, with a usage line that names the arguments alone."""
        self.usage = " ".join(["%(prog)s [options]", *map(_in_usage, arguments_of(self))])
        return super().format_help()

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help; nothing where the stream was closed when the program started."""
        print(self.format_help(), end="", file=file)


def _in_usage(argument: argparse.Action) -> str:
    name = str(argument.metavar)
    return {"+": f"{name}...", "?": f"[{name}]"}.get(str(argument.nargs), name)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Options as ``-t, --threads N``, with their defaults, alike in every version of Python."""

    def __init__(self, prog: str) -> None:
        # A fixed width: the documentation shows this text.
        super().__init__(prog, max_help_position=_WIDEST_NAMES, width=_WIDTH)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        value = "" if action.nargs == 0 else f" {self._format_args(action, action.dest.upper())}"
        return ", ".join(action.option_strings) + value

    def _get_help_string(self, action: argparse.Action) -> str | None:
        is_said = "Default: " in (action.help or "")
        if is_said or action.nargs == 0 or action.default in (None, [], argparse.SUPPRESS):
            return action.help
        return f"{action.help} Default: %(default)s."
