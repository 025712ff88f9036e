"""Commands within a conversation, here of a pipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_model import dictated
from command import Result, ggmlkit
from ggmlkit.cli.chat.slash_commands import COMMANDS, split
from ggmlkit.engine.completion import Token
from ggmlkit.engine.llama import Llama


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that the model got; it answers "so"."""
    found: list[str] = []

    def generate(self: Llama, prompt: list[int], **_: Any) -> Iterator[Token]:
        found.append(self.detokenize(prompt).strip())
        return dictated(self, "so")

    monkeypatch.setattr(Llama, "generate_tokens", generate)
    return found


def chat(model: Path, *lines: str, options: tuple[str, ...] = ()) -> Result:
    return ggmlkit("chat", "-m", model, "-t", "1", *options, text="\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/help", ("/help", "")),
        ("/save  a b.json ", ("/save", "a b.json")),
        ("/system two\nlines", ("/system", "two\nlines")),
        ("/nonsense", ("/nonsense", "")),
        ("/clear", ("/reset", "")),
        ("/regen", ("/retry", "")),
        ("/exit", ("/quit", "")),
        ("/?", ("/help", "")),
        ("/usr/bin is a folder", None),
        ("/* a comment */", None),
        ("// a comment", None),
        ("/ alone", None),
        (" /help", None),
        ("1/2", None),
    ],
)
def test_what_is_a_command(text: str, expected: tuple[str, str] | None) -> None:
    assert split(text) == expected


def test_unknown_commands_are_not_sent(chat_gguf: Path, prompts: list[str]) -> None:
    done = chat(chat_gguf, "/rest", "/zzz", " /rest of it", "/usr/bin?")
    assert "there is no command /rest; did you mean '/reset'" in done.stderr
    assert "there is no command /zzz; /help lists them" in done.stderr
    assert [prompt.splitlines()[-2] for prompt in prompts] == [
        "user: /rest of it",
        "user: /usr/bin?",
    ]
    assert done.stdout == "so\nso\n"


def test_help_names_every_command(chat_gguf: Path, prompts: list[str]) -> None:
    said = chat(chat_gguf, "/help").stderr
    assert all(f"\n{name} " in "\n" + said for name in COMMANDS)
    assert prompts == []


def test_system_reset_and_retry(chat_gguf: Path, prompts: list[str]) -> None:
    done = chat(
        chat_gguf,
        *("/retry", "/system", "a", "/system be brief", "/retry", "/reset", "b"),
        *('/system ""', "c", "/quit", "never"),
    )
    assert prompts == [
        "user: a\nassistant:",
        "system: be brief\nuser: a\nassistant:",
        "system: be brief\nuser: b\nassistant:",
        "user: b\nassistant: so\nuser: c\nassistant:",
    ]
    assert "there is no message to answer again" in done.stderr
    assert "there is no system prompt" in done.stderr
    assert "system prompt: be brief" in done.stderr


def test_undo(chat_gguf: Path, prompts: list[str]) -> None:
    done = chat(chat_gguf, "/undo", "a " * 50, "/undo", "b", "/exit", "never")
    assert prompts[-1] == "user: b\nassistant:"
    assert "there is no message to forget" in done.stderr
    assert f"forgotten: {('a ' * 30)}…\n" in done.stderr


def test_save_and_load(chat_gguf: Path, prompts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    options = ("-sys", r"be\tbrief", "-e")
    done = chat(chat_gguf, "one", f"/save {file}", "/save", options=options)
    assert f"saved 2 messages in {file}" in done.stderr
    assert "/save needs the name of a file" in done.stderr
    assert json.loads(file.read_text())["messages"][0]["content"] == "be\tbrief"
    chat(chat_gguf, f"/load {file}", "two")
    assert prompts[-1].endswith("user: one\nassistant: so\nuser: two\nassistant:")
    assert prompts[-1].startswith("system: be\tbrief\n")


def test_a_file_that_cannot_be_loaded_ends_a_pipe(chat_gguf: Path, tmp_path: Path) -> None:
    words = ["chat", "-m", chat_gguf, "-t", "1"]
    said = ggmlkit(*words, text=f"/load {tmp_path / 'none'}\n", code=1).stderr
    assert f"{tmp_path / 'none'}: No such file or directory" in said


def test_the_first_message_and_a_single_turn(
    chat_gguf: Path, prompts: list[str], tmp_path: Path
) -> None:
    assert chat(chat_gguf, "next", options=("-p", "first")).stdout == "so\nso\n"
    assert chat(chat_gguf, "next", options=("-p", "first", "-st")).stdout == "so\n"
    assert chat(chat_gguf, "/help", "next", "never", options=("-st",)).stdout == "so\n"
    (tmp_path / "file").write_text("of a\nfile\n")
    chat(chat_gguf, options=("-f", str(tmp_path / "file"), "-st"))
    assert prompts[-1] == "user: of a\nfile\nassistant:"
    ggmlkit("chat", "-m", chat_gguf, "-f", "-", text="all\nof it\n")
    assert prompts[-1] == "user: all\nof it\nassistant:"
    chat(chat_gguf, "joined\\", "lines")
    assert prompts[-1] == "user: joined\nlines\nassistant:"


def test_run_converses_too(chat_gguf: Path, prompts: list[str]) -> None:
    words = ["run", "-m", chat_gguf, "-t", "1", "-cnv", "-sys", "S", "-p", "hello"]
    assert ggmlkit(*words, text="more\n").stdout == "so\nso\n"
    assert prompts[0] == "system: S\nuser: hello\nassistant:"
    assert ggmlkit(*words, "-st", text="more\n").stdout == "so\n"
    assert ggmlkit(*words, "-i", "-if", "-mli", "--jinja", text="more\n").stdout == "so\nso\n"
    assert "give the prompt" in ggmlkit(*words, "-f", "x", code=2).stderr
