"""A chat in a pseudo-terminal: editing, history, paste, Ctrl-C, the gauge; and a dumb terminal."""

from __future__ import annotations

import ast
import stat
from pathlib import Path

import pytest

from chat_model import echo_program
from terminal import CTRL_C, CTRL_D, CTRL_R, ENTER, UP, Terminal, paste

PROMPT = " %] >"


def prompts(log: Path) -> list[str]:
    return [ast.literal_eval(line) for line in log.read_text().splitlines()]


def test_editing_history_paste_and_long_lines(chat_gguf: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = echo_program(chat_gguf, log, "-c", "40000")
    with Terminal(program, tmp_path) as terminal:
        terminal.wait_for("[0 %] >")
        terminal.type("bat\x7fd" + "\x01a " + ENTER)  # backspace; at the start
        terminal.wait_for("You said a bad.")
        terminal.wait_for(PROMPT)
        terminal.type(paste("one\ntwo\n") + "three\\" + ENTER + "four" + ENTER)
        terminal.wait_for("You said one\ntwo\nthree\nfour.")
        terminal.wait_for(PROMPT)
        terminal.type(paste("x" * 4200 + "y") + ENTER)
        terminal.wait_for("y.")
        terminal.wait_for("[21 %] >")  # letters are tokens
        terminal.type("/qu\t" + ENTER)
        assert terminal.code() == 0
        assert "prompt: " in terminal.shown
    assert "user: " + "x" * 4200 + "y\n" in prompts(log)[-1]
    assert "user: a bad\nassistant: You said a bad.\nuser: one\ntwo" in prompts(log)[1]
    history = tmp_path / "ggmlkit" / "chat_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    with Terminal(program, tmp_path) as terminal:  # another run
        terminal.wait_for(PROMPT)
        terminal.type(UP * 2 + UP * 4 + ENTER)  # the quit, the long line, four lines
        terminal.wait_for("You said one\ntwo\nthree\nfour.")
        terminal.wait_for(PROMPT)
        terminal.type(CTRL_R + "a ba" + ENTER + ENTER)
        terminal.wait_for("You said a bad.")
        terminal.wait_for(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.code() == 0


def test_ctrl_c_stops_an_answer_and_clears_a_line(chat_gguf: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Terminal(echo_program(chat_gguf, log, pause=0.05), tmp_path) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("abc" * 20 + ENTER)  # long enough to be stopped in time
        terminal.wait_for("You s")
        terminal.type(CTRL_C)
        terminal.type(CTRL_C)  # the terminal may drop what was printed between the two
        terminal.wait_for(PROMPT)
        terminal.type("never sent" + CTRL_C + "next" + ENTER)
        terminal.wait_for("You said next.")
        terminal.wait_for(PROMPT)
        terminal.type(CTRL_C + CTRL_D)
        assert terminal.code() == 0
        assert "Traceback" not in terminal.shown
    second = prompts(log)[1]
    assert f"user: {'abc' * 20}\nassistant: You s" in second
    assert "abc." not in second
    assert "never sent" not in second


@pytest.mark.parametrize(("term", "options"), [("dumb", []), ("xterm", ["--simple-io"])])
def test_a_dumb_terminal_gets_plain_lines(
    chat_gguf: Path, tmp_path: Path, term: str, options: list[str]
) -> None:
    log = tmp_path / "log"
    program = echo_program(chat_gguf, log, *options, pause=0.02)
    with Terminal(program, tmp_path, term) as terminal:
        terminal.wait_for("[0 %] >")
        terminal.type("cleared")
        terminal.wait_for("cleared")
        terminal.type(CTRL_C)
        terminal.wait_for("[0 %] >")
        terminal.type("one\\\n" + "two" * 20 + "\n")
        terminal.wait_for("You said ")
        terminal.type(CTRL_C)
        terminal.wait_for("(stopped; /retry answers again)")
        terminal.wait_for(PROMPT)
        terminal.type("/nonsense\n")
        terminal.wait_for("there is no command /nonsense")
        terminal.wait_for(PROMPT)
        terminal.type("more\n")
        terminal.wait_for("You said more.")
        terminal.wait_for(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.code() == 0
        assert "\x1b" not in terminal.shown
    first, second = prompts(log)
    assert f"user: one\n{'two' * 20}\n" in first
    assert first.removesuffix("assistant: ") in second
    assert "cleared" not in first


def test_errors_do_not_end_a_conversation(chat_gguf: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Terminal(echo_program(chat_gguf, log, "-c", "60"), tmp_path) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("a" * 200 + ENTER)
        terminal.wait_for("does not fit the context of 60; -c sets a longer one")
        terminal.wait_for(PROMPT)
        terminal.type(b"no text: \xff" + ENTER.encode())
        terminal.wait_for("You said no text: ?.")
        terminal.wait_for(PROMPT)
        terminal.type("/load ~nobody/nothing" + ENTER)
        terminal.wait_for("nothing: No such file or directory")
        terminal.wait_for(PROMPT)
        terminal.type("b" + ENTER)
        terminal.wait_for("You said b.")
        terminal.wait_for(PROMPT)
        terminal.type("/quit" + ENTER)
        assert terminal.code() == 0
    assert len(prompts(log)) == 2
