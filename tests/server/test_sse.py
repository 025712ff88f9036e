"""Streams of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.server import sse
from ggmlkit.server.sse import EventStream, event


def sent_by(
    source: AsyncGenerator[bytes, None],
    gone_after: float = 60,
    slow: float = 0,
    messages: list[Any] | None = None,
) -> tuple[list[bytes], bool]:
    """The bodies that are sent, and whether the resources were given back."""
    bodies: list[bytes] = []
    is_closed = False

    async def work() -> None:
        stack = AsyncExitStack()

        def close() -> None:
            nonlocal is_closed
            is_closed = True

        stack.callback(close)

        async def receive() -> Any:
            await asyncio.sleep(gone_after)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                bodies.append(message["body"])
                if messages is not None:
                    messages.append(message)
                await asyncio.sleep(slow)

        await EventStream(source, stack)({"type": "http"}, receive, send)

    asyncio.run(work())
    return bodies, is_closed


async def numbers(count: int, pause: float = 0) -> AsyncGenerator[bytes, None]:
    for number in range(count):
        if pause:
            await asyncio.sleep(pause)
        yield b"%d;" % number


def test_what_is_there_goes_out_in_one_write() -> None:
    assert sent_by(numbers(5)) == ([b"0;1;2;3;4;"], True)
    bodies, _ = sent_by(numbers(5, 0.02))
    assert bodies[:5] == [b"0;", b"1;", b"2;", b"3;", b"4;"]


def test_what_is_written_waits_for_a_slow_reader() -> None:
    bodies, _ = sent_by(numbers(50, 0.002), slow=0.03)
    assert b"".join(bodies) == b"".join(b"%d;" % number for number in range(50))
    assert len(bodies) < 15


def test_a_client_that_goes_away_ends_the_source() -> None:
    ended = []

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.005)
        finally:
            ended.append(True)

    _, is_closed = sent_by(endless(), gone_after=0.05)
    assert ended == [True]
    assert is_closed


def test_a_client_that_reads_nothing_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_STALLED_SECONDS", 0.05)
    bodies, is_closed = sent_by(numbers(10), slow=5)
    assert (bodies, is_closed) == ([b"0;1;2;3;4;5;6;7;8;9;"], True)
    bodies, _ = sent_by(numbers(10, 0.02), slow=0.001)  # slow, but it reads
    assert b"".join(bodies) == b"0;1;2;3;4;5;6;7;8;9;"


def test_much_goes_out_in_portions() -> None:
    async def source() -> AsyncGenerator[bytes, None]:
        yield b"a" * 100_000
        yield b"b" * 100_000

    bodies, _ = sent_by(source())
    assert b"".join(bodies) == b"a" * 100_000 + b"b" * 100_000
    assert max(map(len, bodies)) == 65536


def test_an_error_is_the_last_event() -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise RequestError(503, "no", code="c")

    bodies, is_closed = sent_by(failing())
    assert b"".join(bodies).startswith(b'onedata: {"error":{"message":"no"')
    assert is_closed


def test_a_quiet_stream_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_QUIET_SECONDS", 0.02)
    bodies, _ = sent_by(numbers(1, 0.1))
    assert bodies[0] == b": waiting\n\n"
    assert b"0;" in bodies


def test_a_stream_that_ends_while_it_is_quiet_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_QUIET_SECONDS", 0.02)
    messages: list[Any] = []
    # The source ends while the client still takes what came first.
    bodies, _ = sent_by(numbers(2, 0.05), gone_after=2, slow=0.3, messages=messages)
    assert b"".join(bodies).replace(b": waiting\n\n", b"") == b"0;1;"
    assert not messages[-1]["more_body"]


def test_events() -> None:
    assert event({"a": "\u2028\x85"}) == b'data: {"a":"\\u2028\\u0085"}\n\n'
    assert event({"a": "é\n"}) == 'data: {"a":"é\\n"}\n\n'.encode()
    assert event({}, "name") == b"event: name\ndata: {}\n\n"
