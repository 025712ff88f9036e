"""Prompts that wait for their turn: clients take turns, and each client's are in order."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggmlkit.engine.request import Request


class Waiting:
    """Requests in the order of their turns. It is not guarded against threads."""

    def __init__(self) -> None:
        self._first: deque[Request] = deque()
        self._of: OrderedDict[Hashable, deque[Request]] = OrderedDict()  # by client, next first
        self._count = 0

    def __len__(self) -> int:
        return len(self._first) + self._count

    def __iter__(self) -> Iterator[Request]:
        yield from self._first
        for own in self._of.values():
            yield from own

    def append(self, request: Request) -> None:
        """The last of its client."""
        self._of.setdefault(request.client, deque()).append(request)
        self._count += 1

    def put_first(self, request: Request) -> None:
        """Before all others: it has waited already."""
        self._first.appendleft(request)

    def first(self) -> Request:
        """Whose turn it is; there must be one."""
        return self._first[0] if self._first else next(iter(self._of.values()))[0]

    def pop(self) -> Request:
        """Take it out; the next client's turn follows."""
        if self._first:
            return self._first.popleft()
        client, own = next(iter(self._of.items()))
        self._count -= 1
        request = own.popleft()
        if own:
            self._of.move_to_end(client)
        else:
            del self._of[client]
        return request

    def take_given_up(self) -> list[Request]:
        """Take out those that nobody waits for any more."""
        found = [request for request in self if request.given_up]
        if found:
            kept = [request for request in self if not request.given_up]
            before = {request for request in self._first if not request.given_up}
            self.clear()
            for request in kept:
                if request in before:
                    self._first.append(request)
                else:
                    self.append(request)
        return found

    def clear(self) -> None:
        """Take all out."""
        self._first.clear()
        self._of.clear()
        self._count = 0
