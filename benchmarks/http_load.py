"""Clients of a completions server, in a process of their own: what each request's tokens took.

Reads a plan from standard input, writes times to standard output, both JSON. It is kept cheap, as
it runs beside the server that it measures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, TypedDict


class Plan(TypedDict):
    """What to ask.

    Attributes:
        port: of the server, on this machine.
        clients: for each the bodies of its requests, which it sends one after another.
        delays: seconds before each client's first request.
    """

    port: int
    clients: list[list[dict[str, Any]]]
    delays: list[float]


class Times(TypedDict):
    """Of one request, in seconds since the start: when it was sent, when parts of it came."""

    sent: float
    parts: list[float]


async def _asked(port: int, body: dict[str, Any], start: float) -> Times:
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    sent = time.perf_counter() - start
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + data)
    parts: list[float] = []
    answer = b""
    while part := await reader.read(65536):
        if b'"text"' in part:
            parts.append(time.perf_counter() - start)
        answer = (answer + part)[-400:]
    writer.close()
    if b"[DONE]" not in answer:
        raise RuntimeError(f"the answer ended with {answer[-200:]!r}")
    return {"sent": sent, "parts": parts}


async def _client(plan: Plan, number: int, start: float) -> list[Times]:
    await asyncio.sleep(plan["delays"][number])
    return [await _asked(plan["port"], body, start) for body in plan["clients"][number]]


async def main() -> None:
    """Ask all of the plan."""
    plan: Plan = json.load(sys.stdin)
    start = time.perf_counter()
    found = await asyncio.gather(
        *(_client(plan, number, start) for number in range(len(plan["clients"])))
    )
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
