"""The file of a batch: it goes on where it stopped, and never mixes batches."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

import ggmlkit as gk
from ggmlkit.batch.batch import as_line
from ggmlkit.batch.envelope import openai_failure
from ggmlkit.batch.jobs import plain_failure
from ggmlkit.batch.lines import Line, read_lines
from ggmlkit.batch.output import Done, OutputFile
from ggmlkit.chat.errors import bad_request

INPUT = b"".join(b'{"prompt": "%d"}\n' % n for n in range(5))


def fingerprint(line: Line) -> str:
    return line.digest.hex()[:16]


def output(kind: str) -> list[bytes]:
    """The lines of output; the second is a failure, the others are answers."""
    found = []
    for line in read_lines(io.BytesIO(INPUT)):
        if kind == "plain":
            answer = {"fingerprint": fingerprint(line), "id": line.number, "text": "ü"}
            failure = plain_failure(fingerprint(line), line.number, "no")
        else:
            failure = openai_failure(fingerprint(line), f"r{line.number}", bad_request("no"))
            answer = failure | {"response": {"status_code": 200, "body": {}}}
        found.append(as_line(failure if line.number == 2 else answer))
    return found


@pytest.mark.parametrize("kind", ["plain", "openai"])
def test_it_goes_on_wherever_it_was_cut(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # takes time, and no crash is expected here
    lines = output(kind)
    whole = b"".join(lines)
    ends = [sum(map(len, lines[:n])) for n in range(6)]
    path = tmp_path / "out.jsonl"
    for cut in range(0, len(whole) + 1, 2):
        path.write_bytes(whole[:cut])
        done = sum(end <= cut for end in ends) - 1
        with OutputFile(path) as file:
            found, left = file.skip_done(read_lines(io.BytesIO(INPUT)), fingerprint)
            assert found == Done(done, int(done > 1))
            for line, data in zip(left, lines[done:], strict=True):
                assert fingerprint(line).encode() in data
                file.write(data)
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (b"notes of mine\n", "line 1 is of another batch: it is not the answer to line 1"),
        (b"notes of mine", "line 1 is of another batch"),
        (b'{"fingerprint": "0123456789abcdef", "id": 1}\n', "line 1 is of another batch"),
        (b'{"fingerprint": "0123456789ab', "line 1 is of another batch"),
        (output("plain")[0] + output("plain")[2], "line 2 is of another batch"),
        (output("plain")[0][:-9] + b"\n", "the line is damaged"),
        (b"".join(output("plain")) + b"{", "line 6 is of another batch: the input has fewer lines"),
        (b"\n", "line 1 is of another batch"),
    ],
)
def test_another_file_is_left_as_it_is(before: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(before)
    with OutputFile(path) as file, pytest.raises(gk.FormatError, match=said):
        file.skip_done(read_lines(io.BytesIO(INPUT)), fingerprint)
    assert path.read_bytes() == before
    with OutputFile(path, overwrite=True) as file:
        found, _ = file.skip_done(read_lines(io.BytesIO(INPUT)), fingerprint)
    assert found == Done(0, 0)
    assert path.read_bytes() == b""


def test_lines_that_were_added_to_the_input_are_left(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"".join(output("plain")))
    with OutputFile(path) as file:
        more = read_lines(io.BytesIO(INPUT + b'{"prompt": "new"}'))
        found, left = file.skip_done(more, fingerprint)
        assert found == Done(5, 1)
        assert [line.data for line in left] == [b'{"prompt": "new"}']


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    with OutputFile(tmp_path / "out") as file:
        file.write(b"kept\n")
        with pytest.raises(gk.ArgumentError, match="is being written by another process"):
            OutputFile(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_bytes() == b"kept\n"


def test_a_pipe_is_written_only(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with OutputFile(path) as file:
        assert not file.is_regular
        found, left = file.skip_done(read_lines(io.BytesIO(INPUT)), fingerprint)
        assert found == Done(0, 0)
        assert len(list(left)) == 5
        file.write(b"a\n")
    assert os.read(reader, 9) == b"a\n"
    os.close(reader)
