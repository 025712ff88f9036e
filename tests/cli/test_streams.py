"""Standard streams that are closed or full: no traceback, and the exit code says what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paths import GOLDEN

F16 = GOLDEN / "gguf-v1-f16.bin"
COMMANDS = [
    ["run", "-m", "{model}", "-p", "Hello", "-n", "2", "-t", "1"],
    ["chat", "-m", "{model}", "-p", "Hello", "-n", "2", "-t", "1"],
    ["inspect", "{model}"],
    ["--help"],
    ["bench", "-m", "{model}", "-p", "2", "-n", "0", "-r", "1"],
]


def shell(redirection: str, words: list[str], model: Path) -> subprocess.CompletedProcess[str]:
    arguments = [word.format(model=model) for word in words]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "ggmlkit", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_failure(redirection: str, words: list[str], chat_gguf: Path) -> None:
    done = shell(redirection, words, chat_gguf)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) == (">&-" not in redirection.replace("2>&-", ""))
    assert "tokens in" not in done.stdout  # what is for stderr


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_full_disk_behind_standard_output_is_1(words: list[str], chat_gguf: Path) -> None:
    done = shell("> /dev/full", words, chat_gguf)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ggmlkit: standard output: No space left on device"
    assert shell("> /dev/full 2>&1", words, chat_gguf).returncode == 1


def test_run_without_any_input_is_2(chat_gguf: Path) -> None:
    done = shell("<&-", ["run", "-m", "{model}"], chat_gguf)
    assert done.returncode == 2
    assert "standard input is empty" in done.stderr
