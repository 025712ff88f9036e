"""The chat template that the command line names: a built-in one, or a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_model import dictated
from command import Result, ggmlkit
from ggmlkit.engine.completion import Token
from ggmlkit.engine.llama import Llama
from paths import GOLDEN

BARE = GOLDEN / "gguf-v1-f16.bin"


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that the model got; it answers "so", and starts the next turn itself."""
    found: list[str] = []

    def generate(self: Llama, prompt: list[int], **_: Any) -> Iterator[Token]:
        found.append(self.detokenize(prompt))
        return dictated(self, "so\n### Human: and")

    monkeypatch.setattr(Llama, "generate_tokens", generate)
    return found


def chat(*options: object, text: str = "", code: int = 0) -> Result:
    return ggmlkit("chat", "-m", BARE, "-t", "1", *options, text=text, code=code)


def test_a_file(tmp_path: Path, prompts: list[str]) -> None:
    file = tmp_path / "a.jinja"
    file.write_text("{{ messages[-1].content }}, please:\n")
    for name in ("--chat-template-file", "--chat-template"):
        assert chat(name, file, text="rain\n").stdout == "so\n### Human: and\n"
        done = ggmlkit("run", "-cnv", "-m", BARE, name, file, text="sun\n")
        assert done.stdout == "so\n### Human: and\n"
        assert [each.strip() for each in prompts] == ["rain, please:", "sun, please:"]
        prompts.clear()
        said = ggmlkit("run", "-m", BARE, name, file, "-p", "a", code=2).stderr
        assert f"{name} is for a conversation" in said


def test_a_name(prompts: list[str]) -> None:
    done = chat("--chat-template", "vicuna-v0", "--system", "S", text="rain\nsun\n")
    assert done.stdout == "so\nso\n"  # the next turn is not the model's
    assert [each.strip() for each in prompts] == [
        "S\n### Human: rain\n### Assistant:",
        "S\n### Human: rain\n### Assistant: so\n### Human: sun\n### Assistant:",
    ]


def test_variables(tmp_path: Path, prompts: list[str]) -> None:
    file = tmp_path / "a.jinja"
    file.write_text("{{ messages[-1].content }} {{ enable_thinking }} {{ n + 1 }}")
    given = ("--chat-template-kwargs", '{"enable_thinking": false, "n": 1}')
    chat("--chat-template", file, *given, text="rain\n")
    assert prompts[0].strip() == "rain False 2"
    for wrong in ("[]", "{", '{"messages": []}'):
        words = ("--chat-template", file, "--chat-template-kwargs", wrong)
        assert "--chat-template-kwargs" in chat(*words, code=2).stderr
    said = ggmlkit("run", "-m", BARE, *given, "-p", "a", code=2).stderr
    assert "--chat-template-kwargs is for a conversation" in said


def test_there_is_a_name_for_files_without_a_template() -> None:
    assert "name one with --chat-template" in chat(code=1).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vicunna",), "--chat-template 'vicunna' is neither a file nor one of alpaca, chatml"),
        (("{{ messages }}",), "write a template of your own to a file"),
        (("vicuna", "--chat-template-file", "a"), "give either --chat-template or"),
    ],
)
def test_refused_ones(words: tuple[str, ...], message: str) -> None:
    assert message in chat("--chat-template", *words, code=2).stderr
