"""Texts that are computed beside the scheduler: in parts, in time, where there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.errors import CacheFullError, ModelError
from ggmlkit.server import in_parts as module
from ggmlkit.server.in_parts import in_parts
from ggmlkit.server.settings import Limits
from running_server import RunningServer


def test_the_results_come_in_order(server: RunningServer) -> None:
    parts: list[int] = []

    def work(items: Sequence[int]) -> list[int]:
        parts.append(len(items))
        return [item * 2 for item in items]

    found = asyncio.run(in_parts(server.serving, server.served, range(40), work))
    assert found == list(range(0, 80, 2))
    assert parts == [16, 16, 8]


def test_they_wait_for_room(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0)
    tries = 0

    def work(items: Sequence[int]) -> list[int]:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise CacheFullError("no room")
        return list(items)

    assert asyncio.run(in_parts(server.serving, server.served, [1], work)) == [1]

    def never(_: Sequence[int]) -> list[int]:
        raise CacheFullError("no room")

    with pytest.raises(RequestError) as caught:
        asyncio.run(in_parts(server.serving, server.served, [1], never))
    assert caught.value.status == 503


def test_they_end_with_the_time_of_an_answer(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = replace(server.serving.settings, limits=Limits(seconds=-1))
    monkeypatch.setattr(server.serving, "settings", late)
    with pytest.raises(RequestError) as caught:
        asyncio.run(in_parts(server.serving, server.served, [1], list))
    assert (caught.value.status, caught.value.code) == (503, "timeout")


def test_a_model_that_fails_is_told_without_its_path(server: RunningServer) -> None:
    def work(_: Sequence[int]) -> list[int]:
        raise ModelError(f"{server.served.path}: not finite")

    with pytest.raises(RequestError) as caught:
        asyncio.run(in_parts(server.serving, server.served, [1], work))
    assert caught.value.message == "tiny: not finite"
