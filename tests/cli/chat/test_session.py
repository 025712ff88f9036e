"""A conversation that nobody types: errors and Ctrl-C end it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chat_model import echo_program
from command import ggmlkit


def test_ctrl_c_ends_a_pipe_with_130(chat_gguf: Path, tmp_path: Path) -> None:
    program = echo_program(chat_gguf, tmp_path / "log", pause=0.05)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"a long question\nanother\n")
        process.stdin.flush()
        process.stdout.read(1)  # it has begun
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.decode().splitlines()[-1] == "ggmlkit: interrupted"


def test_lines_must_be_utf_8(chat_gguf: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ggmlkit", "chat", "-m", str(chat_gguf), "-t", "1", "-n", "1"],
        input=b"good\nb\xffd\n", capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"ggmlkit: standard input: at byte 6: a prompt must be UTF-8 text" in done.stderr


def test_a_message_that_does_not_fit_ends_a_pipe(chat_gguf: Path) -> None:
    words = ["chat", "-m", chat_gguf, "-t", "1", "-c", "40", "-n", "4"]
    said = ggmlkit(*words, text="long " * 40 + "\n", code=1).stderr
    assert "does not fit the context of 40; -c sets a longer one" in said


@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
def test_a_long_conversation_with_a_real_decoder(chat_gguf: Path, kv_type: str) -> None:
    words = ["chat", "-m", chat_gguf, "-t", "1", "-c", "72", "--temp", "0", "--kv-type", kv_type]
    done = ggmlkit(*words, "-n", "24", text="".join(f"question {n}\n" for n in range(5)))
    assert "the model no longer sees the oldest 2 messages" in done.stderr
    whole = ggmlkit(*words, text="one\ntwo\n")
    assert "is full" in whole.stderr


def test_a_note_has_a_line_of_its_own(chat_gguf: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ggmlkit", "chat", "-m", str(chat_gguf), "-t", "1", "-c", "60",
         "--temp", "0"],
        input="a\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, timeout=60,
        encoding="utf-8",
    )  # fmt: skip
    assert (
        "\nggmlkit: note: the context of 60 tokens is full; -c sets a longer one\n" in done.stdout
    )


def test_a_pipe_needs_no_editor(chat_gguf: Path) -> None:
    words = ["chat", "-m", str(chat_gguf), "-t", "1", "-n", "1"]
    code = (
        "import sys; from ggmlkit.cli.app import run\n"
        f"run({words!r}); print('prompt_toolkit' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input="hi\n", capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
