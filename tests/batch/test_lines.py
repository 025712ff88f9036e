"""Lines of a batch: blank ones, long ones, and how much of them is read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ggmlkit.batch import lines
from ggmlkit.batch.lines import read_lines
from ggmlkit.errors import FormatError


def test_blank_lines_count_and_are_left_out() -> None:
    found = list(read_lines(io.BytesIO(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n {"b": 2} \n{"c": 3}')))
    assert [(line.number, line.data) for line in found] == [
        (1, b'{"a": 1}'),
        (4, b'{"b": 2}'),
        (5, b'{"c": 3}'),
    ]
    assert found[-1].end == 3 + 10 + 1 + 3 + 11 + 8
    assert list(read_lines(io.BytesIO(b""))) == []


def test_the_digest_is_of_the_line_alone() -> None:
    one, two = read_lines(io.BytesIO(b'{"a": 1}\n  {"a": 1}\r\n'))
    assert one.digest == two.digest


def test_a_line_that_is_too_long_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 8)
    monkeypatch.setattr(lines, "_PORTION", 5)
    text = b"1234567\n" + b"x" * 30 + b"\n" + b"x" * 29 + b"y\n" + b"12345678"
    short, long, other, last = read_lines(io.BytesIO(text))
    assert (short.data, short.is_too_long) == (b"1234567", False)
    assert (long.data, long.is_too_long, long.number) == (b"", True, 2)
    assert long.digest != other.digest
    assert last.is_too_long
    assert last.end == len(text)


def test_lines_are_read_as_they_are_asked_for() -> None:
    file = io.BytesIO(b'{"a": 1}\n' * 1000)
    found = read_lines(file)
    next(found)
    assert file.tell() == 9


def test_a_file_may_grow_but_not_shrink_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"a\n" * 100_000)
    with path.open("rb") as file:
        lines = read_lines(file)
        next(lines)
        with path.open("ab") as more:
            more.write(b"b\n")
        assert [line.data for line in lines][-2:] == [b"a", b"b"]
    with path.open("rb") as file:
        lines = read_lines(file)
        next(lines)
        path.write_bytes(b"a\n")
        with pytest.raises(FormatError, match="became shorter while it was read"):
            list(lines)
