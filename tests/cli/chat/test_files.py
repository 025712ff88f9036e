"""Conversations in files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ggmlkit.cli.chat import files
from ggmlkit.errors import FormatError

TURN = [{"role": "user", "content": "é\n"}, {"role": "assistant", "content": "b"}]


@pytest.mark.parametrize("system", [None, "be brief"])
def test_a_conversation_there_and_back(tmp_path: Path, system: str | None) -> None:
    path = tmp_path / "talk.json"
    for messages in ([], TURN, TURN * 2):  # replaced each time
        files.save(path, system, messages)
        assert files.load(path) == (system, messages)


def test_a_list_of_messages_will_do(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps([{"role": "system", "content": "s"}, *TURN]))
    assert files.load(path) == ("s", TURN)


def test_only_conversations_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(FormatError, match="exists and is not a conversation; name another"):
        files.save(path, None, TURN)
    assert path.read_bytes() == b"GGUF"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "{}",
        '{"messages": 3}',
        '[{"role": "user"}]',
        '[{"role": "user", "content": 3}]',
        '[{"role": "tool", "content": "x"}]',
        '[{"role": "user", "content": "x"}]',
        '[{"role": "assistant", "content": "x"}, {"role": "user", "content": "x"}]',
        '[{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]',
        "[3]",
        "\ud800",
    ],
    ids=range(13),
)
def test_what_is_no_conversation(tmp_path: Path, text: str) -> None:
    path = tmp_path / "talk.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(FormatError, match=r"talk\.json: "):
        files.load(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(FormatError, match="must be a file"):
        files.load(path)
    with pytest.raises(FormatError, match="not a conversation"):
        files.save(path, None, TURN)


def test_an_error_of_reading_names_the_file() -> None:
    path = Path("/proc/self/mem")
    with pytest.raises((OSError, FormatError), match="/proc/self/mem"):
        files.load(path)
