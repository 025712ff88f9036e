"""What is kept of a response: itself, its input and its output, a line of JSON each."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ggmlkit.chat.errors import RequestError, bad_request
from ggmlkit.chat.json_text import as_json
from ggmlkit.server.serving import Serving
from ggmlkit.server.store.records import Record

LOG = logging.getLogger("ggmlkit.server")
_BODIES: Final = 8  # as large as these together a conversation may be that is gone on from
_AT_ONCE: Final = 64 << 10  # bytes that are parsed in the event loop; more in a thread


@dataclass(frozen=True)
class Keeper:
    """Keeps the response to a request.

    Attributes:
        serving: has the store.
        id: of the response.
        owner: whose it is.
        previous_id: of the response that it goes on from, or None.
        items: its input, as JSON.
    """

    serving: Serving
    id: str
    owner: str
    previous_id: str | None
    items: str

    async def keep(self, response: str, output: list[dict[str, Any]]) -> bool:
        """Keep it; False where it can't be, of which the log says why."""
        data = "\n".join([response, self.items, as_json(output)]).encode()
        record = Record(self.id, self.owner, self.previous_id, data)
        try:
            return await self.serving.responses.put(record)
        except Exception:  # the answer is there, and goes out in any case
            LOG.exception("a response can't be kept")
            return False


def response_in(record: Record) -> bytes:
    """A kept response, as JSON."""
    return record.data.partition(b"\n")[0]


async def input_in(serving: Serving, record: Record) -> list[dict[str, Any]]:
    """The input of a kept response."""
    return await _parsed(serving, [record], slice(1, 2))


async def found(serving: Serving, id: str, owner: str) -> Record:
    """The owner's response with an id.

    Raises:
        RequestError: there is none (404).
    """
    record = await serving.responses.get(id, owner)
    if record is None:
        raise missing(id)
    return record


def missing(id: str) -> RequestError:
    """There is no such response, or it is somebody else's."""
    return RequestError(
        404,
        f"there is no response {id[:80]!r}; where many are kept, the oldest go first",
        code="response_not_found",
        param="response_id",
    )


async def items_before(serving: Serving, id: str | None, owner: str) -> list[dict[str, Any]]:
    """Input and output of the response with an id, and of all those that it goes on from.

    Raises:
        RequestError: one of them is not there, or they are too large together.
    """
    if id is None:
        return []
    most = serving.settings.limits.body_bytes * _BODIES
    records = await serving.responses.chain(id, owner, most)
    if not records or records[-1].id != id:
        raise bad_request(
            f"there is no response {id[:80]!r} to go on from",
            "previous_response_id",
            "previous_response_not_found",
        )
    if records[0].previous_id is not None:
        is_large = sum(record.size for record in records) > most
        raise bad_request(
            "the conversation before is too long"
            if is_large
            else "the beginning of the conversation is no longer kept: send its messages instead",
            "previous_response_id",
            "context_length_exceeded" if is_large else "previous_response_not_found",
        )
    return await _parsed(serving, records, slice(1, 3))


async def _parsed(
    serving: Serving, records: Sequence[Record], lines: slice
) -> list[dict[str, Any]]:
    """The items in some lines of records; in a thread where there are many."""
    work = partial(_items, [line for each in records for line in each.data.split(b"\n")[lines]])
    if sum(len(record.data) for record in records) <= _AT_ONCE:
        return work()
    return await serving.in_thread(work)


def _items(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    return [item for line in lines for item in json.loads(line)]
