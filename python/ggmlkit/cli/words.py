"""The words of a command line, put so that `argparse` reads them as their writer meant them."""

from __future__ import annotations

import argparse
import re
from collections import deque
from collections.abc import Sequence

from ggmlkit.cli.usage import UsageError, did_you_mean

_NUMBER = re.compile(r"-?\.?\d")  # how one begins


def arranged(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Options first, each joined to its value; then, behind ``--``, the arguments.

    An option takes the word behind it, whatever that begins with. `argparse` alone would take
    ``-p --hello`` for two options and ``-ngl`` for ``-n gl``, and would not find arguments on both
    sides of an option.

    Raises:
        UsageError: an option is unknown, or has no value, or one that it does not take.
    """
    options: list[str] = []
    arguments: list[str] = []
    left = deque(words)
    while left:
        word = left.popleft()
        if word == "--":
            arguments += left
            break
        if len(word) > 1 and word.startswith("-") and not _NUMBER.match(word):
            options += _joined(parser, word, left)
        else:
            arguments.append(word)
    if "--help" in options:
        return ["--help"]
    if len(arguments) > 1 and "--" in arguments:
        raise UsageError("'--' can't be one of several arguments")  # before 3.13 it is dropped
    return [*options, "--", *arguments] if arguments else options


def arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments that are given by their place."""
    return [action for action in parser._actions if not action.option_strings]


def _joined(parser: argparse.ArgumentParser, word: str, left: deque[str]) -> list[str]:
    """An option and its value, if it takes one, from the words that are left."""
    known: dict[str, argparse.Action] = parser._option_string_actions
    name, equals, value = word.partition("=")
    if name not in known and _NUMBER.match(word[2:]) and word[:2] in known:
        name, equals, value = word[:2], "=", word[2:]  # -n9
    if name not in known:
        shown = [flag for flag, option in known.items() if option.help != argparse.SUPPRESS]
        raise UsageError(f"there is no option {name}{did_you_mean(name, shown)}")
    option = known[name]
    if option.nargs == 0:
        if equals:
            raise UsageError(f"{name} takes no value")
        return ["--help" if name == "-h" else name]
    if not equals:
        if option.nargs == "?" and not (left and _is_meant_for(option, left[0])):
            return [name]
        if isinstance(option.nargs, int):
            return [name, *_values(option, name, left)]
        if not left:
            raise UsageError(f"{name} needs a value")
        value = left.popleft()
    elif isinstance(option.nargs, int):
        raise UsageError(f"{name} takes {option.nargs} values: leave the = out")
    return [f"{name}={value}"]


def _is_meant_for(option: argparse.Action, word: str) -> bool:
    """Whether an option that may go without a value takes a word: a choice, or a whole number."""
    return word.isdecimal() if option.choices is None else word in option.choices


def _values(option: argparse.Action, name: str, left: deque[str]) -> list[str]:
    """The values of an option that takes several."""
    assert isinstance(option.nargs, int)
    found = [left.popleft() for _ in range(min(option.nargs, len(left)))]
    # `argparse` would take these for options.
    if len(found) < option.nargs or any(len(v) > 1 and v.startswith("-") for v in found):
        raise UsageError(
            f"{name} needs {option.nargs} values: {' and '.join(option.metavar or ())}"
        )
    return found
