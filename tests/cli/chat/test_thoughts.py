"""A model that thinks before it answers: in a terminal, in a pipe, and what it sees of it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_model import TEMPLATE, dictated, echo_program
from command import ggmlkit
from ggmlkit.cli.chat.conversation import Conversation, Piece
from ggmlkit.cli.chat.thoughts import without_thoughts
from ggmlkit.engine.llama import Llama
from ggmlkit.text.reasoning import Split
from terminal import CTRL_C, CTRL_D, ENTER, Terminal

PROMPT = " %] >"
THOUGHT = "<think>\nhm, well\n</think>\n\n"
# As many templates do, it leaves out what was thought before.
THINKING = TEMPLATE.replace("message.content ~", "message.content.split('</think>')[-1].strip() ~")
BEGUN = THINKING.replace("assistant: {%", "assistant: <think>{%")


@pytest.fixture
def template(tmp_path: Path) -> str:
    """The file of a template with thoughts."""
    (tmp_path / "template.jinja").write_text(THINKING)
    return str(tmp_path / "template.jinja")


def prompts(log: Path) -> list[str]:
    return [ast.literal_eval(line) for line in log.read_text().splitlines()]


def test_a_terminal_shows_that_the_model_thinks(
    chat_gguf: Path, tmp_path: Path, template: str
) -> None:
    log = tmp_path / "log"
    program = echo_program(chat_gguf, log, "--chat-template", template, pause=0.02, thought=THOUGHT)
    with Terminal(program, tmp_path) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("one" + ENTER)
        terminal.wait_for("thinking… 0 s")
        assert "hm" not in terminal.wait_for("You said one.")
        terminal.wait_for(PROMPT)
        terminal.type("/think" + ENTER)
        terminal.wait_for("thoughts are shown")
        terminal.wait_for(PROMPT)
        terminal.type("two" + ENTER)
        shown = terminal.wait_for("You said two.")
        assert "<think>\nhm, well\n</think>\n\nYou" in shown.replace("\r", "")
        assert "thinking…" not in shown
        terminal.wait_for(PROMPT)
        terminal.type("/think" + ENTER)
        terminal.wait_for("thoughts are hidden")
        terminal.wait_for(PROMPT)
        terminal.type("three" + ENTER)
        terminal.wait_for("thinking…")
        terminal.type(CTRL_C)
        assert "You said" not in terminal.wait_for("(stopped; /retry answers again)")
        terminal.wait_for(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.code() == 0
    second, third = prompts(log)[1:]
    assert "assistant: You said one.\n" in second
    assert "hm" not in second + third


@pytest.mark.parametrize("options", [[], ["--show-thinking"]])
def test_a_pipe_gets_the_answer_alone(
    chat_gguf: Path, tmp_path: Path, template: str, options: list[str]
) -> None:
    program = echo_program(
        chat_gguf, tmp_path / "log", "--chat-template", template, *options, thought=THOUGHT
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input="one\n", capture_output=True, text=True, check=True
    )
    assert done.stdout == (THOUGHT if options else "") + "You said one.\n"
    assert "thinking" not in done.stderr


def answered(llama: Llama, template: str, text: str, **more: int) -> tuple[list[Piece], str]:
    """The pieces of an answer that is dictated, and the message that is kept of it."""
    llama.generate_tokens = lambda *_, **settings: dictated(  # type: ignore[method-assign]
        llama, text, settings["max_tokens"]
    )
    settings = {"max_tokens": more.get("most"), "seed": 1}
    talk = Conversation(llama, settings, None, print, template)
    pieces = list(talk.answer("hi"))
    assert "".join(piece.text for piece in pieces) == talk.messages[-1]["content"].removesuffix(
        "</think>" if more else "\0"
    )
    return pieces, talk.messages[-1]["content"]


@pytest.mark.parametrize(
    ("template", "text", "said"),
    [
        (TEMPLATE, f"{THOUGHT}Yes", f"{THOUGHT}Yes"),
        (THINKING, f"{THOUGHT}Yes", "Yes"),
        (THINKING, "Yes", "Yes"),
        (THINKING, "\n\nYes <think>", "\n\nYes <think>"),
        (THINKING, "<thi", "<thi"),
        (BEGUN, "hm\n</think>\n\nYes", "Yes"),
        (BEGUN, "no end", ""),
    ],
)
def test_what_is_said(chat_gguf: Path, template: str, text: str, said: str) -> None:
    llama = Llama(chat_gguf, context=256)
    pieces, _ = answered(llama, template, text, **({"most": 99} if said == "" else {}))
    assert "".join(without_thoughts(iter(pieces))) == said


def test_an_answer_of_a_form_has_no_thoughts(chat_gguf: Path) -> None:
    llama = Llama(chat_gguf, context=256)
    llama.generate_tokens = lambda *_, **__: dictated(llama, "[1]")  # type: ignore[method-assign]
    settings = {"max_tokens": None, "seed": 1, "json_schema": "{}"}
    talk = Conversation(llama, settings, None, print, BEGUN)
    assert "".join(without_thoughts(talk.answer("hi"))) == "[1]"


def test_thoughts_that_were_cut_are_ended_for_the_template(chat_gguf: Path) -> None:
    llama = Llama(chat_gguf, context=256)
    _, kept = answered(llama, THINKING, THOUGHT, most=12)
    assert kept == THOUGHT[:12] + "</think>"


def test_pieces_keep_their_line_breaks_but_those_after_thoughts() -> None:
    def pieces(*parts: tuple[str, str]) -> Iterator[Piece]:
        return (Piece("", Split(*part)) for part in parts)

    assert "".join(without_thoughts(pieces(("a", ""), ("", "\n"), ("", "\nb\n"), ("", "\nc")))) == (
        "b\n\nc"
    )
    assert "".join(without_thoughts(pieces(("", "\n"), ("", "b")))) == "\nb"


def test_a_model_without_thoughts_says_so(chat_gguf: Path, tmp_path: Path) -> None:
    told = ggmlkit("chat", "-m", chat_gguf, "-t", "1", "-n", "1", text="/think\n/think\n")
    assert "thoughts are shown (the chat template has none)" in told.stderr
    assert "thoughts are hidden" in told.stderr
    saved = tmp_path / "talk.json"
    ggmlkit("chat", "-m", chat_gguf, "-t", "1", "-n", "1", text=f"hi\n/save {saved}\n")
    assert len(json.loads(saved.read_text())["messages"]) == 2


def test_it_is_an_option_of_conversations(chat_gguf: Path) -> None:
    told = ggmlkit("run", "-m", chat_gguf, "-p", "a", "--show-thinking", code=2).stderr
    assert "--show-thinking is for a conversation" in told
