"""Where `ggmlkit run` takes its prompt from, escapes in it, and texts that end the output."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import ggmlkit
from ggmlkit.cli.prompt_text import unescaped
from ggmlkit.engine.llama import Llama
from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"
RUN = ["run", "-m", F16, "-t", "1", "-n", "3"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `Llama.generate` is called with; "prompt" is its text. It generates "so"."""
    found: list[dict[str, Any]] = []

    def generate(self: Llama, prompt: list[int], **settings: Any) -> Iterator[str]:
        found.append({"prompt": self.detokenize(prompt).removeprefix(" "), **settings})
        yield "so"

    monkeypatch.setattr(Llama, "generate", generate)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a\nb\tc\rd", "a\nb\tc\rd"),
        (r"\\n \" \'", "\\n \" '"),
        (r"\x41\x4a\xe9\x9", "AJé\t"),
        (r"\q \x \d", r"\q \x \d"),
        ("end\\", "end\\"),
    ],
)
def test_escapes(text: str, expected: str) -> None:
    assert unescaped(text) == expected


def test_each_way_to_give_a_prompt(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "prompt"
    file.write_bytes(b"line\n\n")
    ggmlkit(*RUN, "-f", file)
    file.write_bytes(b"line\r\n")
    ggmlkit(*RUN, "-f", file)
    ggmlkit(*RUN, "-f", "-", text="piped\n")
    ggmlkit(*RUN, text="piped\n")
    ggmlkit(*RUN, "-p", r"a\nb", text="not read")
    ggmlkit(*RUN, "-e", "-p", r"a\nb")
    ggmlkit(*RUN, "-e", text=r"a\nb")
    ggmlkit(*RUN, "-e", "--no-escape", text=r"a\nb")
    assert [call["prompt"] for call in calls] == [
        "line\n", "line", "piped", "piped", r"a\nb", "a\nb", "a\nb", r"a\nb"
    ]  # fmt: skip


def test_no_prompt_is_2() -> None:
    assert "standard input is empty" in ggmlkit(*RUN, code=2).stderr
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "ggmlkit", "run", "-m", str(F16)],
        stdin=slave, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(master)
    os.close(slave)
    assert done.returncode == 2
    assert "give the prompt with -p, -f or through standard input" in done.stderr


def test_standard_input_must_be_utf_8() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ggmlkit", *map(str, RUN)],
        input=b"ab\xff", capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"ggmlkit: standard input: at byte 2: a prompt must be UTF-8 text\n"


def test_stop_texts_and_settings_reach_the_model(calls: list[dict[str, Any]]) -> None:
    words = ["-p", "x", "-r", "a", "--stop", r"\n", "--reverse-prompt=c", "-c", "90"]
    ggmlkit(*RUN, *words, "--temperature", "0.25", "-s", "-1")
    ggmlkit(*RUN, *words, "-e", "--repeat-last-n", "5", "-n", "-1")
    ggmlkit(*RUN, *words, "--repeat-last-n", "-1", "-s", "7")
    first, second, third = calls
    assert first["stop"] == ["a", r"\n", "c"]
    assert (first["temperature"], first["seed"], first["max_tokens"]) == (0.25, None, 3)
    assert "repeat_last_n" not in first  # the default is the model's
    assert second["stop"] == ["a", "\n", "c"]
    assert (second["repeat_last_n"], second["max_tokens"]) == (5, None)
    assert (third["repeat_last_n"], third["seed"]) == (-1, 7)
    assert "-r/--reverse-prompt/--stop must not be empty" in ggmlkit(*RUN, "-r", "", code=2).stderr


def test_output_ends_before_a_stop_text() -> None:
    words = ["-p", "Hello", "--temp", "0", "-n", "12", "--ignore-eos"]
    whole = ggmlkit(*RUN, *words).stdout
    end = whole[4:6]
    assert ggmlkit(*RUN, *words, "-r", end).stdout == whole[: whole.index(end)] + "\n"


def test_the_prompt_is_printed_if_asked_for(calls: list[dict[str, Any]]) -> None:
    assert ggmlkit(*RUN, "-p", "say ").stdout == "so\n"
    assert ggmlkit(*RUN, "-p", "say ", "--display-prompt").stdout == "say so\n"
    assert ggmlkit(*RUN, "-p", "say ", "--display-prompt", "--no-display-prompt").stdout == "so\n"
    assert len(calls) == 3


def test_a_range_in_the_help_is_the_one_that_holds() -> None:
    shown = " ".join(ggmlkit("run", "--help").stdout.split())
    for option, text, value in (
        ("--top-p", "above 0 and at most 1", "0"),
        ("--min-p", "from 0 to 1", "1.1"),
        ("--repeat-penalty", "at least 0.01", "0"),
        ("--temp", "at least 0", "-1"),
    ):
        assert text in shown
        assert f"must be {text}" in ggmlkit(*RUN, "-p", "x", option, value, code=2).stderr
    ggmlkit(*RUN, "-p", "x", "--top-p", "1e-9", "--min-p", "1", "--repeat-penalty", "0.01")
