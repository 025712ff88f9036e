"""What words of a command line a function takes, and what is said of those it does not."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest

from ggmlkit.cli.command_line import Argument, Command, HelpAsked, Option, UsageError


class Colour(str, Enum):
    red = "red"
    blue = "blue"


def called(*words: str) -> dict[str, Any]:
    """The arguments that a command with every kind of parameter is called with."""
    given: dict[str, Any] = {}

    def paint(
        path: Annotated[Path, Argument(metavar="FILE", help="To paint.")],
        text: Annotated[str | None, Option("-t", "--text", help="To write.")] = None,
        count: Annotated[int, Option("-n", "--count", min=-1, max=9, help="How often.")] = 3,
        share: Annotated[float, Option("--share", min=0, help="How much.")] = 0.5,
        colour: Annotated[Colour, Option("--colour", help="Which.")] = Colour.red,
        wet: Annotated[bool, Option("--wet", help="Still wet.")] = False,
        frame: Annotated[bool, Option("--frame/--no-frame", help="Framed.")] = True,
    ) -> None:
        """Paint."""
        given.update(locals())
        del given["given"]

    Command(paint).call(words)
    return given


DEFAULTS = {
    "path": Path("f"),
    "text": None,
    "count": 3,
    "share": 0.5,
    "colour": Colour.red,
    "wet": False,
    "frame": True,
}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (["f"], {}),
        (["f", "-n", "-1"], {"count": -1}),
        (["-n9", "f"], {"count": 9}),
        (["--count=4", "f", "--wet"], {"count": 4, "wet": True}),
        (["f", "-t", "-x --wet"], {"text": "-x --wet"}),
        (["f", "-t", "--wet"], {"text": "--wet"}),
        (["f", "-t", ""], {"text": ""}),
        (["f", "--no-frame"], {"frame": False}),
        (["f", "--no-frame", "--frame"], {}),
        (["f", "--colour", "blue", "--share", "1e3"], {"colour": Colour.blue, "share": 1000.0}),
        (["--", "-f"], {"path": Path("-f")}),
    ],
    ids=" ".join,
)
def test_words_become_arguments(words: list[str], changed: dict[str, Any]) -> None:
    assert called(*words) == DEFAULTS | changed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing argument 'FILE'"),
        (["f", "g"], r"extra argument\(s\) \(g\)"),
        (["f", "-n"], "-n requires argument"),
        (["f", "-n", "x"], "'-n' / '--count': 'x' is no whole number"),
        (["f", "-n", "1.5"], "'1.5' is no whole number"),
        (["f", "-n", "10"], "'10' is not in the range -1<=x<=9"),
        (["f", "--share", "nan"], "'nan' is not in the range x>=0"),
        (["f", "--colour", "green"], "'green' is no choice; there are 'red', 'blue'"),
        (["f", "--wet=1"], "--wet must not have an argument"),
        (["f", "--nonsense"], "--nonsense not recognized"),
    ],
    ids=str,
)
def test_words_that_do_not_fit_are_named(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        called(*words)


def test_help_is_asked_for_before_anything_is_missed() -> None:
    with pytest.raises(HelpAsked):
        called("--help")


def gathered(*words: str) -> tuple[Any, ...]:
    """What a command with a list between two arguments is called with."""
    given: tuple[Any, ...] = ()

    def gather(
        first: Annotated[Path, Argument(metavar="FIRST", help="One.")],
        some: Annotated[list[int], Argument(metavar="SOME", help="One or more.")],
        last: Annotated[str, Argument(metavar="LAST", help="One.")],
    ) -> None:
        """Gather."""
        nonlocal given
        given = (first, some, last)

    command = Command(gather)
    assert command.usage("x") == "Usage: x [OPTIONS] FIRST SOME… LAST"
    command.call(words)
    return given


def test_a_list_takes_the_words_that_others_leave() -> None:
    assert gathered("f", "1", "z") == (Path("f"), [1], "z")
    assert gathered("f", "1", "2", "3", "z") == (Path("f"), [1, 2, 3], "z")
    for words, message in (
        ((), "Missing argument 'FIRST'"),
        (("f",), "Missing argument 'SOME'"),
        (("f", "1"), "Missing argument 'LAST'"),
        (("f", "1", "x", "z"), "'x' is no whole number"),
    ):
        with pytest.raises(UsageError, match=message):
            gathered(*words)
