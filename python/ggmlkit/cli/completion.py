"""Completion scripts for shells, written by `shtab`."""

from __future__ import annotations

import argparse

from ggmlkit.cli import values

SHELLS = ("bash", "zsh", "fish")


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
    return shtab.complete(parser, shell)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options and arguments of a parser and of its commands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found += _actions(command)
    return found
