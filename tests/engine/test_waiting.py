"""The order in which prompts get their turns."""

from __future__ import annotations

from ggmlkit.engine.request import Request
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.waiting import Waiting


def request(id: int, client: str | None = None) -> Request:
    return Request([id], SamplingParams(), None, 1, client=client)


def order(waiting: Waiting) -> list[int]:
    found = []
    while waiting:
        first = waiting.first()
        assert waiting.pop() is first
        found.append(first.ids[0])
    return found


def test_clients_take_turns() -> None:
    waiting = Waiting()
    for id in range(4):
        waiting.append(request(id, "busy"))
    waiting.append(request(10, "other"))
    waiting.append(request(20))
    waiting.append(request(11, "other"))
    assert len(waiting) == 7
    assert {each.ids[0] for each in waiting} == {0, 1, 2, 3, 10, 20, 11}
    assert order(waiting) == [0, 10, 20, 1, 11, 2, 3]


def test_who_was_sent_back_is_first() -> None:
    waiting = Waiting()
    waiting.append(request(1, "a"))
    waiting.put_first(request(2, "b"))
    waiting.put_first(request(3, "c"))
    assert order(waiting) == [3, 2, 1]


def test_who_is_given_up_leaves() -> None:
    waiting = Waiting()
    requests = [request(id, "ab"[id % 2]) for id in range(6)]
    for each in requests[:4]:
        waiting.append(each)
    for each in requests[4:]:
        waiting.put_first(each)
    assert not waiting.take_given_up()
    for id in (0, 3, 4):
        requests[id].given_up = True
    assert {each.ids[0] for each in waiting.take_given_up()} == {0, 3, 4}
    assert order(waiting) == [5, 2, 1]


def test_cleared() -> None:
    waiting = Waiting()
    waiting.append(request(1))
    waiting.put_first(request(2))
    waiting.clear()
    assert not len(waiting)
    assert not list(waiting)
