"""The words of a command line, arranged for `argparse`."""

from __future__ import annotations

from argparse import ArgumentParser

import pytest

from ggmlkit.cli.usage import UsageError
from ggmlkit.cli.words import arranged


def parser() -> ArgumentParser:
    """One with every kind of option."""
    found = ArgumentParser()
    found.add_argument("path")
    found.add_argument("-n", "--count", type=int)
    found.add_argument("-p", "--text")
    found.add_argument("--wet", action="store_true")
    found.add_argument("-ngl", "--layers")
    found.add_argument("-fa", nargs="?", choices=("on", "off"))
    found.add_argument("--tune", nargs="?", type=int, const=9)
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["f"], ["--", "f"]),
        (["f", "-n", "-1"], ["-n=-1", "--", "f"]),
        (["f", "-n9", "g"], ["-n=9", "--", "f", "g"]),
        (["--count=4", "f", "--wet"], ["--count=4", "--wet", "--", "f"]),
        (["f", "-p", "-x --wet"], ["-p=-x --wet", "--", "f"]),
        (["f", "-p", "--wet"], ["-p=--wet", "--", "f"]),
        (["f", "-p", "--help"], ["-p=--help", "--", "f"]),
        (["f", "-p", ""], ["-p=", "--", "f"]),
        (["--text=a=b"], ["--text=a=b"]),
        (["--", "-f", "--wet"], ["--", "-f", "--wet"]),
        (["-5", "-.5", "-"], ["--", "-5", "-.5", "-"]),
        (["-ngl", "99", "-n", "1"], ["-ngl=99", "-n=1"]),
        (["-fa", "-n", "1"], ["-fa", "-n=1"]),
        (["-fa", "on", "f"], ["-fa=on", "--", "f"]),
        (["-fa", "f"], ["-fa", "--", "f"]),
        (["-fa"], ["-fa"]),
        (["--tune", "20", "f"], ["--tune=20", "--", "f"]),
        (["--tune", "f"], ["--tune", "--", "f"]),
        (["f", "--tune", "--wet"], ["--tune", "--wet", "--", "f"]),
        (["f", "-n", "x", "-h"], ["--help"]),
    ],
    ids=str,
)
def test_options_come_first_with_their_values(words: list[str], expected: list[str]) -> None:
    assert arranged(parser(), words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--wet=1"], "--wet takes no value"),
        (["f", "-n"], "-n needs a value"),
        (["--txt", "x"], "there is no option --txt; did you mean '--text'"),
        (["--te=x"], "there is no option --te"),
        (["-ng", "9"], "there is no option -ng"),
        (["-pq", "9"], "there is no option -pq"),
        (["-px"], "there is no option -px"),
        (["--", "a", "--"], "'--' can't be one of several arguments"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        arranged(parser(), words)
