"""Help and errors of the parser that all commands use."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from command import ggmlkit
from ggmlkit.cli import options, values
from ggmlkit.cli.app import COMMANDS, command_module, command_parser
from ggmlkit.cli.parser import Parser
from ggmlkit.cli.usage import UsageError


def parser() -> Parser:
    """One with arguments around a list."""
    found = Parser("x", "Gather.", "  x a b")
    found.add_argument("first", type=Path, metavar="FIRST", help="One.")
    found.add_argument("some", type=values.whole_number(1), nargs="+", metavar="SOME", help="S")
    found.add_argument("last", metavar="LAST", help="One.")
    found.add_argument(
        "-n", "--count", type=values.whole_number(1), default=3, metavar="N", help="How many."
    )
    options.add_choice(found, "--colour", choices=("red", "blue"))
    options.add_switch(found, "frame", "Leave the frame out.")
    return found


def test_a_list_takes_the_words_that_others_leave() -> None:
    one = parser().parsed(["f", "1", "z"])
    assert (one.first, one.some, one.last, one.count, one.frame) == (Path("f"), [1], "z", 3, True)
    several = parser().parsed(["f", "1", "--no-frame", "2", "--colour", "red", "3", "z", "-n2"])
    assert (several.some, several.last, several.count) == ([1, 2, 3], "z", 2)
    assert (several.colour, several.frame) == ("red", False)
    assert parser().parsed(["f", "1", "z", "--no-frame", "--frame"]).frame is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: FIRST, SOME, LAST"),
        (["f", "1"], "the following arguments are required: LAST"),
        (["f", "x", "z"], "SOME must be a whole number, not 'x'"),
        (["f", "1", "z", "-n", "0"], "-n/--count must be at least 1, not 0"),
        (["f", "1", "z", "--colour", "rde"], "--colour must be red or blue, not 'rde'; did you"),
        (["f", "1", "z", "--cou", "1"], "there is no option --cou; did you mean '--count'"),
    ],
    ids=str,
)
def test_errors_are_sentences(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as told:
        parser().parsed(words)
    assert str(told.value).startswith(message)


def test_too_many_arguments() -> None:
    found = Parser("x", "Take one.")
    found.add_argument("one", metavar="ONE")
    with pytest.raises(UsageError, match="unexpected argument: b --c"):
        found.parsed(["a", "b", "--", "--c"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["m.gguf", "-p", "hi"], "m.gguf; give the model with -m and a text with -p"),
        (["-m", "m.gguf", "two", "words"], "two words; give the model with -m and a text with -p"),
    ],
    ids=" ".join,
)
def test_words_that_options_take(words: list[str], said: str) -> None:
    found = Parser("x", "Take options.")
    found.add_argument("-m", "--model", required=True)
    found.add_argument("-p", "--prompt")
    with pytest.raises(UsageError, match=f"^unexpected argument: {said}$"):
        found.parsed(words)
    with pytest.raises(UsageError, match=r"^unexpected argument: m\.gguf$"):
        Parser("x", "Take nothing.").parsed(["m.gguf"])


def test_help_is_shown_before_anything_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parsed(["-n", "x", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: x [options] FIRST SOME... LAST\n\nGather.\n")
    assert "\n  -n, --count N" in shown
    assert "Default: 3." in shown
    assert "--frame" not in shown
    assert shown.endswith("examples:\n  x a b\n")


def test_help_where_the_stream_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    parser().print_help()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_is_complete(name: str) -> None:
    shown = ggmlkit(name, "--help").stdout
    assert shown.startswith(f"usage: ggmlkit {name} [options]")
    assert max(map(len, shown.splitlines())) <= 80
    assert f"examples:\n  ggmlkit {name} " in shown.replace('echo "What is a tensor?" | ', "")
    assert "None" not in shown
    if name in ("quantize", "convert", "apply-lora", "apply-delta"):
        assert {"q4_K_M,", "q3_K_L,", "iq4_xs,", "mxfp4,", "f16,"} < set(shown.split())


def test_examples_of_the_help_are_command_lines_that_fit() -> None:
    for name in COMMANDS:
        lines = [
            line for line in command_module(name).EXAMPLES.splitlines() if line.startswith("  ")
        ]
        for line in lines:
            words = shlex.split(line)
            start = words.index("ggmlkit")
            assert words[start + 1] == name
            command_parser(name).parsed(words[start + 2 :])


def test_help_tells_the_context_that_a_model_gets() -> None:
    from ggmlkit.engine.model import DEFAULT_CONTEXT

    shown = " ".join(ggmlkit("run", "--help").stdout.split())
    assert f"Default: what the model was trained for, at most {DEFAULT_CONTEXT}." in shown


def test_help_of_types_lists_every_name() -> None:
    from ggmlkit.quantization import NAMES

    for command in ("quantize", "convert", "apply-lora", "apply-delta"):
        shown = re.split(r"\W+", ggmlkit(command, "--help").stdout)
        assert set(NAMES) <= set(shown), command
