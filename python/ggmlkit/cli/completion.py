"""Completion scripts for shells, written by `shtab`."""

from __future__ import annotations

import argparse

from ggmlkit.cli import values

SHELLS = ("bash", "zsh", "fish")
_FILES_AND_TYPES = "_ggmlkit_files_and_types"  # a function of bash


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell. Where a path belongs it completes files, where a type belongs types.

    Args:
        parser: with the arguments of all commands declared.
        shell: one of `SHELLS`.
    """
    import shtab

    from ggmlkit.quantization import NAMES

    for action in _actions(parser):
        if action.type in (values.path, values.adapter):
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # what shtab looks for
        elif action.type is values.type_name:
            action.choices = NAMES
    for action in _before_types(parser):
        action.complete = shtab.FILE | {"bash": _FILES_AND_TYPES}  # type: ignore[attr-defined]
    function = f"{_FILES_AND_TYPES}() {{\n  compgen -f -W '{' '.join(NAMES)}' -- $1\n}}"
    return shtab.complete(parser, shell, preamble=function if shell == "bash" else "")


def _before_types(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of which there may be several, with a type behind: for bash they never end."""
    found = []
    for each in _parsers(parser):
        arguments = [action for action in each._actions if not action.option_strings]
        if any(action.type is values.type_name for action in arguments):
            found += [action for action in arguments if action.nargs == "+"]
    return found


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options and arguments of a parser and of its commands."""
    return [action for each in _parsers(parser) for action in each._actions]


def _parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found += _parsers(command)
    return found
