"""`ggmlkit run --jsonl`: a file of prompts, answered line by line; it goes on where it stopped."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from command import ggmlkit
from terminal import Terminal

COUNT = 150


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Many prompts; the second line is no JSON."""
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"prompt": f"Number {n}", "id": f"p{n}"}) for n in range(COUNT)]
    lines[1] = "{"
    path.write_text("\n".join(lines) + "\n")
    return path


def words(model: Path, source: object, out: object, *more: object) -> list[str]:
    settings = ["-n", "8", "-s", "1", "-c", "64", "-t", "1", "--ignore-eos"]
    return ["run", "-m", str(model), "--jsonl", str(source), str(out), *settings, *map(str, more)]


def answers(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def started(arguments: Sequence[str], **streams: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ggmlkit", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **streams)


def wait_for_lines(path: Path, count: int) -> None:
    end = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_each_line_is_answered_and_failures_are_told(
    chat_gguf: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    told = ggmlkit(*words(chat_gguf, prompts, out), code=1)
    assert told.stdout == ""
    assert f"{COUNT} lines, 1 failed: their error says why" in told.stderr
    assert "tokens/s" in told.stderr
    found = answers(out.read_text())
    assert [each["id"] for each in found] == ["p0", 2, *(f"p{n}" for n in range(2, COUNT))]
    assert [each["id"] for each in found if "error" in each] == [2]
    alone = ggmlkit("run", "-m", chat_gguf, "-p", "Number 7", *words(chat_gguf, 0, 0)[6:])
    assert alone.stdout == found[7]["text"] + "\n"

    before = out.read_bytes()
    again = ggmlkit(*words(chat_gguf, prompts, out), code=1)
    assert f"{COUNT} lines ({COUNT} of them before), 1 failed" in again.stderr
    assert "decode" not in again.stderr  # nothing was
    assert out.read_bytes() == before
    with prompts.open("a") as file:
        file.write('{"prompt": "one more"}')
    ggmlkit(*words(chat_gguf, prompts, out), code=1)
    assert out.read_bytes().startswith(before)
    assert answers(out.read_text())[-1]["id"] == COUNT + 1

    other = ggmlkit(*words(chat_gguf, prompts, out, "--temp", "1"), code=1)
    assert "line 1 is of another batch" in other.stderr
    assert out.read_bytes().startswith(before)
    ggmlkit(*words(chat_gguf, prompts, out, "--temp", "1", "--overwrite"), code=1)
    assert not out.read_bytes().startswith(before)


def test_a_killed_run_goes_on_without_a_line_twice(
    chat_gguf: Path, prompts: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    arguments = words(chat_gguf, prompts, out, "-n", "24")
    ggmlkit(*words(chat_gguf, prompts, whole, "-n", "24"), code=1)
    for lines in (1, 40):
        with started(arguments) as process:
            wait_for_lines(out, lines)
            process.kill()
        assert out.stat().st_size < whole.stat().st_size
    out.write_bytes(out.read_bytes()[:-3])  # as if it were killed in the middle of a line
    ggmlkit(*arguments, code=1)
    assert comparable(out) == comparable(whole)


def comparable(path: Path) -> list[dict[str, Any]]:
    """The answers without what depends on the cache of the run."""
    found = answers(path.read_text())
    for each in found:
        each.pop("usage", None)
    return found


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(
    chat_gguf: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    with started(words(chat_gguf, prompts, out, "-n", "24")) as process:
        wait_for_lines(out, 3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    lines = out.read_bytes()
    assert lines.endswith(b"\n")
    count = lines.count(b"\n")
    assert 3 <= count < COUNT
    # The last line may be written and not yet counted.
    assert re.match(rb"(%d|%d) lines, 1 failed" % (count - 1, count), said)
    assert said.splitlines()[-1] == b"ggmlkit: interrupted; the same command goes on from here"
    assert b"Traceback" not in said


def test_standard_streams(chat_gguf: Path, prompts: Path, tmp_path: Path) -> None:
    text = prompts.read_text().splitlines()[0] + "\n"
    told = ggmlkit(*words(chat_gguf, "-", "-"), text=text)
    (found,) = answers(told.stdout)
    assert found["id"] == "p0"
    out = tmp_path / "out.jsonl"
    ggmlkit(*words(chat_gguf, "-", out), text=text)
    assert answers(out.read_text()) == [found]
    again = ggmlkit(*words(chat_gguf, "-", out), text=text + '{"prompt": "b"}\n')
    assert "2 lines (1 of them before), 0 failed" in again.stderr
    assert ggmlkit(*words(chat_gguf, "-", "-"), text="").stdout == ""


def test_a_terminal_shows_a_bar(chat_gguf: Path, prompts: Path, tmp_path: Path) -> None:
    arguments = ["ggmlkit", *words(chat_gguf, prompts, tmp_path / "out.jsonl")]
    code = f"import sys; sys.argv = {arguments!r}; from ggmlkit.cli import main; main()"
    with Terminal(code, tmp_path) as terminal:
        assert terminal.code() == 1
        assert "100%" in terminal.shown
        assert f"{COUNT} lines, 1 failed, " in terminal.shown


def test_conversations_take_the_template_of_the_command_line(
    chat_gguf: Path, tmp_path: Path
) -> None:
    line = {"messages": [{"role": "user", "content": "Hi"}]}
    source, template = tmp_path / "in.jsonl", tmp_path / "template.jinja"
    source.write_text(json.dumps(line))
    template.write_text("{{ messages[0].content }}{{ more }}")
    counts = []
    for more in ([], ["--chat-template", template], ["--chat-template", template,
                 "--chat-template-kwargs", '{"more": "xyz"}']):  # fmt: skip
        (found,) = answers(ggmlkit(*words(chat_gguf, source, "-", *more)).stdout)
        counts.append(found["usage"]["prompt_tokens"])
    assert counts[2] == counts[1] + 3 < counts[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-p", "a"], "-p does not go with --jsonl, whose lines have the prompts"),
        (["-f", "a"], "-f does not go with --jsonl"),
        (["-cnv"], "-cnv does not go with --jsonl"),
        (["-sys", "a"], "-sys does not go with --jsonl"),
        (["-np", "0"], "-np/--parallel must be at least 1, not 0"),
    ],
)
def test_what_does_not_go_together(
    more: list[str], said: str, chat_gguf: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert said in ggmlkit(*words(chat_gguf, prompts, out, *more), code=2).stderr
    assert not out.exists()


def test_files_at_fault(chat_gguf: Path, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    missing = ggmlkit(*words(chat_gguf, tmp_path / "none", out), code=1).stderr
    assert "none: No such file" in missing
    ggmlkit(*words(tmp_path / "none", prompts, out), code=1)
    assert not out.exists()
    kept = prompts.read_bytes()
    assert "is both IN and OUT" in ggmlkit(*words(chat_gguf, prompts, prompts), code=2).stderr
    assert prompts.read_bytes() == kept
    model = ggmlkit(*words(chat_gguf, prompts, chat_gguf, "--overwrite"), code=2).stderr
    assert "which is read: name another" in model
    alone = ["run", "-m", str(chat_gguf), "--jsonl", str(prompts)]
    assert "--jsonl needs 2 values: IN and OUT" in ggmlkit(*alone, code=2).stderr
    assert "--jsonl needs 2 values" in ggmlkit(*alone, "-n", "3", code=2).stderr
    assert "--jsonl takes 2 values" in ggmlkit("run", "--jsonl=a", "b", code=2).stderr
    assert "--overwrite goes with --jsonl" in ggmlkit(*alone[:3], "--overwrite", code=2).stderr
